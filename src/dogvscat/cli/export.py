"""`dogvscat export`: convert a model to another format, checked before it is written."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dogvscat.cli.answers import report_warnings
from dogvscat.cli.options import AsJson, OptionalModel, PublicKey
from dogvscat.cli.output import report, show, show_json

if TYPE_CHECKING:
    from dogvscat.bundle.export.formats import Conversion


def command(
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="onnx, openvino, litert, savedmodel, keras, huggingface (for Transformers.js and the Hub), or browser "
            "(a web page that predicts in the browser).",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A new folder. An earlier export in this folder is replaced.")
    ],
    model: OptionalModel = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS",
            help="A folder or zip file of photos. Up to 200 of them are used to compare the export with the model.",
            show_default="pictures drawn by code",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="PRECISION",
            help="float32; float16: half the size; int8: a quarter of the size, and less time. float16 and int8 are "
            "for onnx and litert. Their answers differ a little from those of float32; with --photos the difference is "
            "measured on photographs.",
        ),
    ] = "float32",
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Convert a model to another format, with a description of its inputs and outputs.

    The result is written only if its probabilities differ from those of the model by at most 0.001 with float32, 0.02
    with float16, and 0.1 with int8.
    """
    from dogvscat.api.extras import need_export_extra
    from dogvscat.bundle.export.folder import refuse_out, write_export
    from dogvscat.bundle.export.formats import get_format, get_precision
    from dogvscat.bundle.export.parity import parity_images
    from dogvscat.bundle.folder import load_bundle
    from dogvscat.locks import exclusive

    need_export_extra(*get_format(format_name).needs, *([] if precision == "float32" else ["onnx"]))
    get_precision(precision, format_name)
    with exclusive(out, lock_outside=True):
        refuse_out(out)
        bundle = load_bundle(model, public_key)
        report_warnings(bundle.rules.warnings)
        if photos is None:
            report("Without --photos, answers are compared on pictures drawn by code, not on photographs.")
        images = parity_images(bundle, photos)
        report(f"Writing {format_name} and reading it back ...")
        is_small = precision != "float32"
        convert = _small_converter(format_name, precision, photos) if is_small else _converter(format_name)
        conversion = convert(bundle, images.pixels)
        parity = write_export(out, bundle, format_name, images, conversion)
    if as_json:
        model_path = str(out / conversion.model_file)
        show_json({"format": format_name, "out": str(out), "model": model_path, "parity": parity.to_dict()})
    else:
        show(str(out / conversion.model_file))
    report(f"{parity.summary()} Read back by {conversion.read_by}.")
    if conversion.cost:
        report(conversion.cost)
    report(f"{out}/README.md describes the inputs and outputs.")


def _converter(format_name: str) -> "Callable[[Any, Any], Conversion]":
    from dogvscat.bundle.export import formats

    if format_name == "onnx":
        return formats.convert_to_onnx
    if format_name == "openvino":
        return formats.convert_to_openvino
    if format_name == "browser":
        from dogvscat.bundle.export.browser import convert_for_browser
        from dogvscat.bundle.export.onnxruntime_web import archive_path

        if not archive_path().is_file():
            report("Downloading ONNX Runtime Web (30 MB) through npm. This happens only once.")
        return convert_for_browser
    if format_name == "huggingface":
        from dogvscat.learning.onnx_export.huggingface import convert_to_huggingface

        return convert_to_huggingface
    from dogvscat.learning.engine import open_engine

    open_engine(0, backend="tensorflow")
    from dogvscat.learning.keras_export import convert, litert

    return {
        "keras": convert.convert_to_keras,
        "litert": litert.convert_to_litert,
        "savedmodel": convert.convert_to_savedmodel,
    }[format_name]


def _small_converter(format_name: str, precision: str, photos: Path | None) -> "Callable[[Any, Any], Conversion]":
    """The conversion to a format with numbers of 16 or 8 bits."""
    from functools import partial

    if format_name == "litert":
        from dogvscat.learning.engine import open_engine

        open_engine(0, backend="tensorflow")
        from dogvscat.learning.keras_export.litert import convert_to_litert_float16, convert_to_litert_int8

        return convert_to_litert_float16 if precision == "float16" else partial(convert_to_litert_int8, photos=photos)
    from dogvscat.learning.onnx_export.precision import convert_to_float16, convert_to_int8

    return convert_to_float16 if precision == "float16" else partial(convert_to_int8, photos=photos)
