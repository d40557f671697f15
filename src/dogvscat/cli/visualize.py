"""`dogvscat visualize`: a web page that shows what each layer of a network makes of a photo."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.answers import report_warnings
from dogvscat.cli.options import OptionalModel, PublicKey
from dogvscat.cli.output import report, show


def command(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A new folder. An earlier page in this folder is replaced.")
    ],
    model: OptionalModel = None,
    public_key: PublicKey = None,
) -> None:
    """Write a web page that shows what each layer of a network makes of a photo.

    The page opens without a web server or installation. Drop a photo on it: it shows the maps of every layer, the
    filter behind each map, the part of the photo that a position depends on, a heat map, and the path of a single
    number from a pixel to the answer. This command needs npm, to fetch ONNX Runtime Web once, and Node, to check the
    answers of the page.
    """
    from dogvscat.bundle.export.folder import refuse_out, write_export
    from dogvscat.bundle.export.formats import LAYERS
    from dogvscat.bundle.export.onnxruntime_web import archive_path
    from dogvscat.bundle.export.parity import parity_images
    from dogvscat.bundle.folder import load_bundle
    from dogvscat.bundle.visualization.page import make_page
    from dogvscat.locks import exclusive

    with exclusive(out, lock_outside=True):
        refuse_out(out)
        bundle = load_bundle(model, public_key)
        report_warnings(bundle.rules.warnings)
        images = parity_images(bundle, None)
        if not archive_path().is_file():
            report("Downloading ONNX Runtime Web (30 MB) through npm. This happens only once.")
        conversion = make_page(bundle, images.pixels)
        parity = write_export(out, bundle, LAYERS, images, conversion)
    show(str(out / conversion.model_file))
    report(f"{parity.summary()} Computed by {conversion.read_by}.")
    report("Open the file in a browser.")
