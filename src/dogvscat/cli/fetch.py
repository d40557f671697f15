"""`dogvscat fetch`: the public archive of 25,000 photos of cats and dogs."""

from typing import Annotated

import typer

from dogvscat.cli.speaking import say, show
from dogvscat.photos.fetch import OFFICIAL_SHA256, OFFICIAL_URL


def command(
    url: Annotated[str, typer.Option(help="Where the archive lies.")] = OFFICIAL_URL,
    sha256: Annotated[str, typer.Option(help="What its bytes must add up to.")] = OFFICIAL_SHA256,
) -> None:
    """Download Microsoft's Dogs vs. Cats archive (about 800 MB); goes on where an earlier download stopped."""
    from dogvscat.photos.fetch import fetch_archive

    path = fetch_archive(url, sha256)
    show(str(path))
    say(f"Train on it with: dogvscat train {path}")
