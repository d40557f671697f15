"""`dogvscat explain`: where in a photo the answer comes from. Imports Keras only for what needs it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.output import flush, report, show_json
from dogvscat.cli.photo_arguments import PhotoArguments
from dogvscat.cli.predict import show_answer, sum_up

if TYPE_CHECKING:
    import numpy as np

    from dogvscat.bundle.predict.predictor import Prediction, Predictor

    HeatMaps = Callable[[np.ndarray], np.ndarray]


class Method(StrEnum):
    """How a heat-map is made."""

    activation = "activation"
    hiding = "hiding"
    grad_cam = "grad-cam"


def command(
    photos: Annotated[list[str], typer.Argument(help="Files, folders, or - for a list of paths on stdin.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    model: Annotated[Path | None, typer.Option(help="A run folder, a bundle, or the name of a shipped one.")] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="activation: what each place says (hiding, where the network cannot tell). hiding: what changes if a "
            "place is hidden. grad-cam: by gradients, needs the extra train."
        ),
    ] = Method.activation,
    layers: Annotated[
        bool, typer.Option("--layers", help="What every layer sees in each photo; needs the extra train.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Write each photo with a heat-map over it: where the evidence for the answer lies."""
    if layers or method is Method.grad_cam:
        _prepare_keras()
    from collections import Counter

    from dogvscat import atomic, stderr
    from dogvscat.bundle.predict.predictor import Predictor
    from dogvscat.errors import ImageError

    atomic.refuse_unwritable(out)
    predictor = Predictor.load(model)
    if predictor.card.origin.drawn_sample:
        report("This network learned from drawings, not photographs: its answers about photographs mean nothing.")
    heat_maps = _heat_maps(predictor, method)
    write_layers = _layer_writer(predictor) if layers else None
    arguments, names, labels = PhotoArguments(photos), _Names(out), Counter[str]()
    total = arguments.count() if stderr.on_terminal() else None
    for path in stderr.track(arguments.paths(), "Explaining", total):
        try:
            file = names.fresh(path)
            answer = _explain(predictor, path, heat_maps, file)
        except ImageError as error:
            labels["error"] += 1
            _show_error(error, as_json)
            continue
        labels[answer.label] += 1
        if write_layers:
            write_layers(path, file.with_suffix(""))
        if as_json:
            show_json({**answer.to_dict(), "explained": str(file)})
        else:
            show_answer(answer, f" -> {file}")
    flush()
    return sum_up(arguments, labels)


def _explain(predictor: Predictor, path: str, heat_maps: HeatMaps, file: Path) -> Prediction:
    from dogvscat import atomic
    from dogvscat.bundle.predict.explanation import LONGEST_SIDE, draw_explanation
    from dogvscat.bundle.predict.heat_map import explained_class
    from dogvscat.photos.decoder import decode, decode_to_show, read_photo

    data = read_photo(Path(path))
    pixels = decode(data, path, predictor.card.image_size)[None]  # (1, image_size, image_size, 3)
    (answer,) = predictor.answer(pixels, [path])
    (heat,) = heat_maps(pixels)
    photo = decode_to_show(data, path, LONGEST_SIDE)
    atomic.write_bytes(file, draw_explanation(photo, heat, answer, explained_class(predictor, answer)))
    return answer


def _heat_maps(predictor: Predictor, method: Method) -> HeatMaps:
    if method is Method.grad_cam:
        from dogvscat.learning.interpret.layer_maps import GradCam

        return GradCam(predictor)
    from dogvscat.bundle.predict.heat_map import heat_maps

    return lambda pixels: heat_maps(predictor, pixels, by_hiding=method is Method.hiding)


def _layer_writer(predictor: Predictor) -> Callable[[str, Path], None]:
    from dogvscat.learning.interpret.layer_maps import bundled_network, write_layers
    from dogvscat.photos.decoder import decode_photo

    network = bundled_network(predictor.bundle)

    def write(path: str, folder: Path) -> None:
        write_layers(network, decode_photo(Path(path), predictor.card.image_size), folder)

    return write


def _prepare_keras() -> None:
    from dogvscat.cli.extras import need_train_extra

    need_train_extra()
    from dogvscat.learning.engine import prepare_backend

    prepare_backend(0)


class _Names:
    """A file name for each photo's picture, no two alike; never that of a photo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def fresh(self, path: str) -> Path:
        stem, number = Path(path).stem[:80], 1
        while (name := f"{stem}-explained{f'-{number}' if number > 1 else ''}.jpg") in self._taken:
            number += 1
        self._taken.add(name)
        return self._folder / name


def _show_error(error, as_json: bool) -> None:  # type: ignore[no-untyped-def]
    from dogvscat.bundle.predict.predictor import Failure

    failure = Failure(error.path, error.code, error.reason, error.hint)
    if as_json:
        show_json(failure.to_dict())
    else:
        show_answer(failure)
