"""`dogvscat explain`: heat maps of the evidence in a photo. Imports Keras only for the methods that need it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.answers import report_warnings, show_prediction, summarize
from dogvscat.cli.options import AsJsonLines, Model, PhotoFiles, PublicKey, Threads
from dogvscat.cli.output import flush, show_json
from dogvscat.cli.photo_arguments import PhotoArguments
from dogvscat.errors import ImageError
from dogvscat.labels import FAILED

if TYPE_CHECKING:
    import numpy as np

    from dogvscat.bundle.predict.predictor import Prediction, Predictor

    HeatMaps = Callable[[np.ndarray], np.ndarray]
    """From uint8 (n, image_size, image_size, 3) to float64 (n, image_size, image_size) in 0..1."""


class Method(StrEnum):
    """How a heat map is computed."""

    cam = "cam"
    hiding = "hiding"
    grad_cam = "grad-cam"


def command(
    photos: PhotoFiles,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the pictures.")] = Path("explained"),
    model: Model = None,
    method: Annotated[
        Method,
        typer.Option(
            metavar="cam|hiding|grad-cam",
            help="cam: class activation map, for networks that end in global average pooling; for others, hiding is "
            "used. hiding: how the answer changes when a part of the photo is hidden. grad-cam: the "
            "last feature maps, weighted by gradients; needs the extra `train`.",
        ),
    ] = Method.cam,
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Also draw the feature maps of every layer. Needs the extra `train`."),
    ] = False,
    threads: Threads = None,
    public_key: PublicKey = None,
    as_json: AsJsonLines = False,
) -> int:
    """Draw a heat map over each photo, which shows where the evidence for the answer is."""
    if layers or method is Method.grad_cam:  # first of all: TensorFlow reads its environment when it is imported
        _prepare_keras(threads or 0)
    from collections import Counter

    from dogvscat import atomic, stderr
    from dogvscat.bundle.predict.predictor import Predictor

    atomic.refuse_unwritable(out)
    predictor = Predictor.load(model, threads or 0, public_key)
    report_warnings(predictor.rules)
    heat_maps = _heat_maps(predictor, method)
    write_layers = _layer_writer(predictor) if layers else None
    arguments, file_names, labels = PhotoArguments(photos), _FileNames(out), Counter[str]()
    total = arguments.count() if stderr.on_terminal() else None
    for path in stderr.track(arguments.paths(), "Explaining", total):
        try:
            file = file_names.new(path)
            prediction = _explain(predictor, path, heat_maps, file)
        except ImageError as error:
            labels[FAILED] += 1
            _show_error(error, as_json)
            continue
        labels[prediction.label] += 1
        if write_layers:
            write_layers(path, file.with_suffix(""))
        if as_json:
            show_json({**prediction.to_dict(), "model": predictor.bundle.name, "explained": str(file)})
        else:
            show_prediction(prediction, f" -> {file}")
    flush()
    return summarize(arguments, labels)


def _explain(predictor: Predictor, path: str, heat_maps: HeatMaps, file: Path) -> Prediction:
    from dogvscat import atomic
    from dogvscat.bundle.predict.explanation import LONGEST_SIDE, draw_explanation
    from dogvscat.bundle.predict.heat_map import explained_class
    from dogvscat.photos.decoding.decoder import decode, decode_for_display, read_photo

    data = read_photo(Path(path))
    pixels = decode(data, path, predictor.card.image_size)[None]  # (1, image_size, image_size, 3)
    (prediction,) = predictor.predict_pixels(pixels, [path])
    (heat,) = heat_maps(pixels)  # (image_size, image_size), stretched over the photo below
    photo = decode_for_display(data, path, LONGEST_SIDE)
    atomic.write_bytes(file, draw_explanation(photo, heat, prediction, explained_class(predictor, prediction)))
    return prediction


def _heat_maps(predictor: Predictor, method: Method) -> HeatMaps:
    if method is Method.grad_cam:
        from dogvscat.learning.interpret.grad_cam import GradCam

        return GradCam(predictor)
    from dogvscat.bundle.predict.heat_map import heat_maps

    return lambda pixels: heat_maps(predictor, pixels, by_occlusion=method is Method.hiding)


def _layer_writer(predictor: Predictor) -> Callable[[str, Path], None]:
    from dogvscat.learning.interpret.layer_maps import load_bundled_network, write_layers
    from dogvscat.photos.decoding.decoder import decode_photo

    card, network = predictor.card, load_bundled_network(predictor.bundle)
    operations = card.config.network.operations(card.image_size)

    def write(path: str, folder: Path) -> None:
        write_layers(network, operations, decode_photo(Path(path), card.image_size), folder)

    return write


def _prepare_keras(threads: int) -> None:
    from dogvscat.cli.extras import need_train_extra

    need_train_extra()
    from dogvscat.learning.engine import open_engine

    open_engine(threads)


class _FileNames:
    """A different file name for each photo's picture, and never the name of a photo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def new(self, path: str) -> Path:
        stem, number = Path(path).stem[:80], 1  # short enough for every file system, with the suffix added
        while (name := f"{stem}-explained{f'-{number}' if number > 1 else ''}.jpg") in self._used:
            number += 1
        self._used.add(name)
        return self._folder / name


def _show_error(error: ImageError, as_json: bool) -> None:
    from dogvscat.bundle.predict.predictor import Failure

    failure = Failure(error.path, error.code, error.reason, error.hint)
    if as_json:
        show_json(failure.to_dict())
    else:
        show_prediction(failure)
