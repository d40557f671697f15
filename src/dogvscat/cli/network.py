"""`dogvscat network`: what a network is made of, as a table and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.options import AsJson, Settings
from dogvscat.cli.output import report, show, show_json
from dogvscat.errors import UsageError

if TYPE_CHECKING:
    from dogvscat.bundle.folder import Bundle
    from dogvscat.config import Config
    from dogvscat.network.operations import Operation


def command(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE|RUN|BUNDLE",
            help="The name or file of a recipe, a run folder, or a bundle (a folder with card.json and model.onnx).",
            show_default="the bundled model",
        ),
    ] = None,
    settings: Settings = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Also draw the network, as FILE.svg or FILE.png."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the layers of a network: output size, weights, arithmetic and receptive field of each.

    With `--set network.changes="..."`, see what a change would do before anything is trained.
    """
    from dogvscat.network.table import layer_rows, table_lines

    if picture is not None and picture.suffix not in (".svg", ".png"):
        raise UsageError(f"--picture expects a file that ends in .svg or .png, received {picture}")
    config, bundle = _read(source, settings or [])
    network, image_size = config.network, config.data.image_size
    operations = network.operations(image_size)
    seconds = _measure(bundle, operations) if bundle else None
    rows = layer_rows(network.stages, operations, seconds)
    if picture is not None:
        _draw(picture, config)
        report(f"Drawn: {picture}")
    if as_json:
        show_json(
            {
                "recipe": config.recipe,
                "image_size": image_size,
                "weights": sum(row.num_weights for row in rows),
                "macs": sum(row.macs for row in rows),
                "both_ways": network.flip_averaging,
                "shares": "macs" if seconds is None else "time",
                "layers": [row.to_dict() for row in rows],
            }
        )
        return
    for line in table_lines(rows, "work" if seconds is None else "time"):
        show(line)
    show("")
    for note in _notes(config, is_measured=seconds is not None):
        show(note)


def _read(source: Path | None, settings: list[str]) -> "tuple[Config, Bundle | None]":
    """The settings of the network that the argument names. With its bundle, if it has one and `settings` do not change
    the network."""
    from dogvscat.bundle.folder import RUN_BUNDLE, load_bundle
    from dogvscat.learning.run import Run
    from dogvscat.settings.resolve import recipe_names, resolve_config, with_settings

    if source is not None and (str(source) in recipe_names() or source.suffix == ".toml" or not source.exists()):
        return resolve_config(str(source), None, settings), None
    if source is not None and Run(source).config_file.is_file() and not (source / RUN_BUNDLE).is_dir():
        return with_settings(Run(source).load_config(), settings), None  # not finished
    bundle = load_bundle(source)
    return with_settings(bundle.card.config, settings), None if settings else bundle


def _measure(bundle: "Bundle", operations: "Sequence[Operation]") -> dict[str, float] | None:
    from dogvscat.bundle.layer_times import measure_operations

    return measure_operations(bundle, operations)


def _draw(file: Path, config: "Config") -> None:
    from dogvscat.atomic import write_bytes
    from dogvscat.network.picture import draw_network

    network = config.network
    drawing = draw_network(network.stages, network.operations(config.data.image_size), config.recipe)
    write_bytes(file, drawing.png() if file.suffix == ".png" else drawing.svg().encode())


def _notes(config: "Config", is_measured: bool) -> list[str]:
    """What the columns of the table mean."""
    notes = [
        "output: height, width and channels of the maps of one image, or the number of features.",
        "MACs: multiplications, each with an addition. sees: the square of pixels that one position depends on.",
    ]
    if is_measured:
        notes.append(
            "time: share of the time of a prediction, measured here with ONNX Runtime on one thread. Operations that "
            "are fused with a convolution count with it."
        )
    else:
        notes.append(
            "work: share of the MACs, which estimates the share of the time. For a bundle, the time is measured."
        )
    if config.network.flip_averaging:
        notes.append("Each image is computed twice, as it is and mirrored (network.flip_averaging).")
    return notes
