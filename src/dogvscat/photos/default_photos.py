"""Which pictures to use when none are named: the environment's, a fetched archive, a fetch, or the drawn sample."""

import os
from pathlib import Path

from dogvscat import caches
from dogvscat.errors import DataError
from dogvscat.photos.drawing import write_sample
from dogvscat.photos.fetch import fetch_archive, fetched_archive
from dogvscat.stderr import Reporter

SYNTHETIC_COUNT = 2000
"""Pictures in the drawn sample that stands in for photographs."""


def find_photos(given: Path | None, report: Reporter) -> Path:
    """The folder or archive to train on.

    In this order: what the user gave, `DOGVSCAT_DATA`, an archive fetched earlier, a fetch, and if there is no network
    the drawn sample.

    Args:
        given: From the command line, or None.
        report: Told in a sentence what was chosen and why.
    """
    if given is not None:
        return given
    if configured := os.environ.get("DOGVSCAT_DATA"):
        report(f"Using the photos that DOGVSCAT_DATA names: {configured}")
        return Path(configured).expanduser()
    if archive := fetched_archive():
        report(f"Using the archive fetched earlier: {archive}")
        return archive
    report(
        "No photos were named, so the public Dogs vs. Cats archive (800 MB) is fetched. Ctrl-C stops; a later fetch "
        "goes on."
    )
    try:
        return fetch_archive()
    except DataError as error:
        report(f"The archive could not be fetched: {error.message}")
    report(
        "Training on the DRAWN SAMPLE instead: cats and dogs drawn by code. It shows every step, but what it learns is "
        "of no use on photographs. Give your own with PHOTOS (or make train DATA=photos.zip)."
    )
    return _synthetic_sample(report)


def _synthetic_sample(report: Reporter) -> Path:
    folder = caches.area("archives") / f"drawn-sample-{SYNTHETIC_COUNT}"
    if not (folder / "dog").is_dir():  # appears last: a sample that was cut off is drawn again
        report(f"Drawing {SYNTHETIC_COUNT:,} pictures, once; about a minute.")
        write_sample(folder, SYNTHETIC_COUNT)
    return folder
