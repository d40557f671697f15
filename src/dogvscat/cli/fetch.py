"""`dogvscat fetch`: the public archive of 25,000 photos of cats and dogs."""

from typing import Annotated

import typer

from dogvscat.cli.output import report, show
from dogvscat.text import shell_word


def command(
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Download from this address.", show_default="Microsoft's address")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="SHA-256 that the archive must have; required with --url.")
    ] = None,
) -> None:
    """Download Microsoft's Dogs vs. Cats archive (about 800 MB). An interrupted download is resumed."""
    from dogvscat.errors import UsageError
    from dogvscat.photos.fetch import OFFICIAL_SHA256, OFFICIAL_URL, fetch_archive

    if (url is None) != (sha256 is None):
        raise UsageError("--url and --sha256 must be given together: an archive is used only if its digest is known")
    path = fetch_archive(url or OFFICIAL_URL, sha256 or OFFICIAL_SHA256)
    show(str(path))
    report(f"Train on it with: dogvscat train {shell_word(path)}")
