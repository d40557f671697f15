"""Which photos to train on when the user names none: DOGVSCAT_DATA, the public archive, or the drawn sample."""

import os
from pathlib import Path

from dogvscat import caches
from dogvscat.errors import DataError
from dogvscat.photos.drawing.sample import write_sample
from dogvscat.photos.fetch import fetch_archive, fetched_archive
from dogvscat.stderr import Reporter

SYNTHETIC_COUNT = 2000
"""Images in the drawn sample that replaces photographs."""


def find_photos(photos: Path | None, report: Reporter) -> Path:
    """The folder or archive to train on: the first of these that applies.

    1. What the user named; 2. what `DOGVSCAT_DATA` names; 3. an archive fetched earlier; 4. the public archive, fetched
    now; 5. the drawn sample, if the archive cannot be fetched.

    Args:
        photos: The path from the command line, or None.
        report: Receives a sentence about what was chosen and why.

    Raises:
        WriteError: if the archive or the sample cannot be stored.
    """
    if photos is not None:
        return photos
    if configured := os.environ.get("DOGVSCAT_DATA"):
        report(f"Using the photos that DOGVSCAT_DATA names: {configured}")
        return Path(configured).expanduser()
    if archive := fetched_archive():
        report(f"Using the archive fetched earlier: {archive}")
        return archive
    report(
        "No photos were named, so the public Dogs vs. Cats archive (800 MB) is downloaded. Ctrl-C stops the download; "
        "the same command resumes it."
    )
    try:
        return fetch_archive()
    except DataError as error:
        report(f"The archive could not be fetched: {error.message}")
    report(
        "Training on DRAWINGS instead: cats and dogs drawn by code. This shows every step, but the network will be of "
        "no use on photographs. Give photos of your own: dogvscat train PHOTOS (or make train DATA=photos.zip)."
    )
    return _synthetic_sample(report)


def _synthetic_sample(report: Reporter) -> Path:
    folder = caches.folder("archives") / f"drawn-sample-{SYNTHETIC_COUNT}"
    if not (folder / "dog").is_dir():  # it appears last: an interrupted sample is drawn again
        report(f"Drawing {SYNTHETIC_COUNT:,} images. This takes about a minute and is done once.")
        write_sample(folder, SYNTHETIC_COUNT)
    return folder
