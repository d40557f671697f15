"""`dogvscat export`: a network in another format, checked before it is written."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dogvscat.cli.output import report, show, show_json

if TYPE_CHECKING:
    from dogvscat.bundle.export.formats import Conversion


def command(
    format_name: Annotated[
        str, typer.Option("--format", help="onnx, openvino, litert, savedmodel, keras, or browser: a page.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder, or an earlier export, which is replaced.")],
    model: Annotated[Path | None, typer.Argument(help="A run folder, a bundle, or the name of a shipped one.")] = None,
    photos: Annotated[
        Path | None, typer.Option(help="A folder or zip with photos to compare answers on; 200 of them are used.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as one JSON document.")] = False,
) -> None:
    """Write a network in another format, with a description of what goes in and comes out.

    It is written only if it answers as the network does: within 0.001 in probability.
    """
    from dogvscat.bundle.export.folder import refuse_out, write_export
    from dogvscat.bundle.export.formats import known_format
    from dogvscat.bundle.export.parity import parity_pictures
    from dogvscat.bundle.folder import load_bundle
    from dogvscat.cli.extras import need_export_extra

    need_export_extra(*known_format(format_name).needs)
    refuse_out(out)
    bundle = load_bundle(model)
    if photos is None:
        report("No --photos were given: answers are compared on pictures drawn by code, not on photographs.")
    pictures = parity_pictures(bundle, photos)
    report(f"Writing {format_name} and reading it back ...")
    conversion = _converter(format_name)(bundle, pictures.pixels)
    parity = write_export(out, bundle, format_name, pictures, conversion)
    if as_json:
        opened = str(out / conversion.model_file)
        show_json({"format": format_name, "out": str(out), "model": opened, "parity": parity.to_dict()})
    else:
        show(str(out / conversion.model_file))
    report(f"{parity.in_words()} Read back by {conversion.read_by}.")
    report(f"{out}/README.md says what goes in and what comes out.")


def _converter(format_name: str) -> "Callable[[Any, Any], Conversion]":
    from dogvscat.bundle.export import formats

    if format_name == "onnx":
        return formats.convert_to_onnx
    if format_name == "openvino":
        return formats.convert_to_openvino
    if format_name == "browser":
        from dogvscat.bundle.export.browser import convert_for_browser
        from dogvscat.bundle.export.onnxruntime_web import kept_archive

        if not kept_archive().is_file():
            report("ONNX Runtime Web (30 MB) is fetched through npm, this once.")
        return convert_for_browser
    from dogvscat.learning.engine import prepare_backend

    prepare_backend(0)
    from dogvscat.learning.keras_export import formats as keras_formats

    return {
        "keras": keras_formats.convert_to_keras,
        "litert": keras_formats.convert_to_litert,
        "savedmodel": keras_formats.convert_to_savedmodel,
    }[format_name]
