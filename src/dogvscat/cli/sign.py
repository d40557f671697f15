"""`dogvscat sign`: sign a bundle, so that others can require it. Needs the extra `sign`."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.output import report, show


def command(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A run folder, or a bundle (a folder with card.json and model.onnx)."),
    ],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your private key: Ed25519, in PEM, as OpenSSL makes it.")],
) -> None:
    """Sign a model with your private key. `--require-signature` of other commands then checks it with the public key.

    The signature covers every byte of the model. It becomes invalid if a file changes or the network is trained again.
    """
    from dogvscat import atomic
    from dogvscat.bundle.folder import load_bundle
    from dogvscat.bundle.signature import SIGNATURE_FILE, sign

    bundle = load_bundle(model)
    file = bundle.folder / SIGNATURE_FILE
    atomic.write_bytes(file, sign(bundle.checksums, key))
    show(bundle.name)
    report(f"{file} is the signature. Others require it with: --require-signature PUBLIC_KEY")
