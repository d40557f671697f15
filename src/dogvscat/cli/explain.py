"""`dogvscat explain`: heat maps of the evidence in a photo. Imports Keras only for the methods that need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from dogvscat.cli.answers import report_warnings, show_prediction, summarize
from dogvscat.cli.options import AsJsonLines, Isolate, Model, PhotoFiles, PublicKey, Threads
from dogvscat.cli.output import flush, show_json
from dogvscat.cli.photo_arguments import PhotoArguments
from dogvscat.errors import ImageError
from dogvscat.labels import FAILED

if TYPE_CHECKING:
    import numpy as np

    from dogvscat.bundle.predict.prediction import Prediction
    from dogvscat.bundle.predict.predictor import Predictor

    class Decoder(Protocol):
        """`photos.decoding.decoder`, or a `DecoderPool`."""

        @property
        def decode(self) -> Callable[[bytes, str, int], np.ndarray]: ...
        @property
        def decode_for_display(self) -> Callable[[bytes, str, int], np.ndarray]: ...

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
    isolate: Isolate = False,
    public_key: PublicKey = None,
    as_json: AsJsonLines = False,
) -> int:
    """Draw a heat map over each photo, which shows where the evidence for the answer is."""
    if layers or method is Method.grad_cam:  # first of all: TensorFlow reads its environment when it is imported
        _prepare_keras(threads or 0)
    from collections import Counter

    from dogvscat import atomic, stderr
    from dogvscat.bundle.predict.explanation import LONGEST_SIDE
    from dogvscat.bundle.predict.predictor import Predictor
    from dogvscat.photos.decoding.decoder import read_photo

    atomic.refuse_unwritable(out)
    # A heat map is of the full network, so the answer beside it is as well.
    predictor = Predictor.load(model, threads or 0, public_key, exact=True)
    report_warnings(predictor.warnings)
    heat_maps = _heat_maps(predictor, method)
    arguments, file_names, labels = PhotoArguments(photos), _FileNames(out), Counter[str]()
    total = arguments.count() if stderr.on_terminal() else None
    with _open_decoder(isolate) as decoder:
        write_layers = _layer_writer(predictor) if layers else None
        for path in stderr.track(arguments.paths(), "Explaining", total):
            try:
                file = file_names.new(path)
                data = read_photo(Path(path))
                pixels = decoder.decode(data, path, predictor.rules.image_size)[None]
                photo = decoder.decode_for_display(data, path, LONGEST_SIDE)
            except ImageError as error:
                labels[FAILED] += 1
                _show_error(error, as_json)
                continue
            prediction = _explain(predictor, path, pixels, photo, heat_maps, file)
            labels[prediction.label] += 1
            if write_layers:
                write_layers(pixels[0], file.with_suffix(""))
            if as_json:
                show_json({**prediction.to_dict(), "model": predictor.name, "explained": str(file)})
            else:
                show_prediction(prediction, f" -> {file}")
    flush()
    return summarize(arguments, labels)


@contextmanager
def _open_decoder(isolate: bool) -> Iterator[Decoder]:
    """Decodes in this process or in another one; the functions of the module `decoder` are those of a pool."""
    from dogvscat.photos.decoding import decoder

    if not isolate:
        yield decoder
        return
    from dogvscat.photos.isolation.pool import DecoderPool

    with DecoderPool(1) as pool:
        yield pool


def _explain(
    predictor: Predictor, path: str, pixels: np.ndarray, photo: np.ndarray, heat_maps: HeatMaps, file: Path
) -> Prediction:
    """Write the heat map of a photo.

    Args:
        predictor: Answers the photo.
        path: Of the photo.
        pixels: uint8 (1, image_size, image_size, 3).
        photo: The same for people to look at, uint8 (height, width, 3).
        heat_maps: Computes the heat map.
        file: Where it is written.
    """
    from dogvscat import atomic
    from dogvscat.bundle.predict.explanation import draw_explanation
    from dogvscat.bundle.predict.heat_map import explained_class

    (prediction,) = predictor.predict_pixels(pixels, [path])
    (heat,) = heat_maps(pixels)  # (image_size, image_size), stretched over the photo below
    atomic.write_bytes(file, draw_explanation(photo, heat, prediction, explained_class(predictor, prediction)))
    return prediction


def _heat_maps(predictor: Predictor, method: Method) -> HeatMaps:
    if method is Method.grad_cam:
        from dogvscat.learning.interpret.grad_cam import GradCam

        return GradCam(predictor)
    from dogvscat.bundle.predict.heat_map import heat_maps

    return lambda pixels: heat_maps(predictor, pixels, by_occlusion=method is Method.hiding)


def _layer_writer(predictor: Predictor) -> Callable[[np.ndarray, Path], None]:
    from dogvscat.learning.interpret.layer_maps import load_bundled_network, write_layers

    card, network = predictor.card, load_bundled_network(predictor.bundle)
    operations = card.config.network.operations(card.image_size)

    def write(pixels: np.ndarray, folder: Path) -> None:
        write_layers(network, operations, pixels, folder)

    return write


def _prepare_keras(threads: int) -> None:
    from dogvscat.api.extras import need_train_extra

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
    from dogvscat.bundle.predict.prediction import Failure

    failure = Failure(error.path, error.code, error.reason, error.hint)
    if as_json:
        show_json(failure.to_dict())
    else:
        show_prediction(failure)
