"""A list of photos in a text file: only these of a collection are used, or all but these."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dogvscat.errors import DataError
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.text import pluralize, printable

_EXAMPLE = "Write one path per line, such as PetImages/Cat/1.jpg."


@dataclass(frozen=True)
class PhotoList:
    """Paths of photos, with forward slashes, as a text file lists them."""

    file: Path
    paths: tuple[str, ...]


def read_photo_list(file: Path) -> PhotoList:
    """Read a list: one path per line. Blank lines, and lines that begin with #, are passed over.

    Raises:
        DataError: if the file cannot be read or lists nothing.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"the list {file} cannot be read: {error.strerror}", hint=_EXAMPLE) from None
    stripped = (line.strip() for line in lines)
    paths = dict.fromkeys(line.replace("\\", "/") for line in stripped if line and not line.startswith("#"))
    if not paths:
        raise DataError(f"the list {file} is empty", hint=_EXAMPLE)
    return PhotoList(file, tuple(paths))


def only_listed(source: PhotoSource, photo_list: PhotoList) -> PhotoSource:
    """The photos of a list; every one of them must be there.

    Raises:
        DataError: if a path of the list belongs to no photo, or to several.
    """
    listed, missing = _match(source, photo_list)
    if missing:
        raise DataError(
            f"{len(missing):,} of {pluralize(len(photo_list.paths), 'path')} in {photo_list.file} are not among the "
            f"photos in {source.location}, such as {printable(missing[0])}",
            hint=f"The photos there have paths such as {printable(source.photos[0].path)}.",
        )
    return _with_photos(source, listed)


def without_listed(source: PhotoSource, photo_list: PhotoList) -> PhotoSource:
    """All photos but those of a list; a note says how many were left out.

    Raises:
        DataError: if no path of the list belongs to a photo, or one belongs to several.
    """
    listed, missing = _match(source, photo_list)
    if not listed:
        raise DataError(
            f"none of the paths in {photo_list.file} belongs to a photo in {source.location}: it leaves out nothing",
            hint=f"The photos there have paths such as {printable(source.photos[0].path)}.",
        )
    note = f"left out by {photo_list.file}: {pluralize(len(listed), 'photo')}"
    if missing:
        note += f"; {len(missing):,} of its paths are not among the photos, such as {printable(missing[0])}"
    remaining = {photo.path for photo in source.photos} - listed
    return replace(_with_photos(source, remaining), notes=(*source.notes, note))


def _with_photos(source: PhotoSource, paths: set[str]) -> PhotoSource:
    photos = [photo for photo in source.photos if photo.path in paths]
    # Some photos of a zip are another source than all of them: caches of the two have different names.
    digest = hashlib.sha256(
        "\0".join([source.stamp, *(photo.path for photo in photos)]).encode("utf-8", "surrogateescape")
    )
    return replace(source, photos=photos, stamp=digest.hexdigest())


def _match(source: PhotoSource, photo_list: PhotoList) -> tuple[set[str], list[str]]:
    """The paths of the photos that are listed, and the listed paths without a photo.

    The list may begin at another folder than the collection: `PetImages/Cat/1.jpg` is the photo `Cat/1.jpg` of the
    folder `PetImages`, and `Cat/1.jpg` is the photo `PetImages/Cat/1.jpg` of a zip.
    """
    by_name: dict[str, list[str]] = {}
    for photo in source.photos:
        by_name.setdefault(photo.path.rpartition("/")[2], []).append(photo.path)
    listed: set[str] = set()
    missing = []
    for path in photo_list.paths:
        matches = _matching(path, by_name.get(path.rpartition("/")[2], ()))
        if len(matches) > 1:
            examples = " and ".join(printable(match) for match in matches[:2])
            hint = "Write more of the path into the list."
            raise DataError(
                f"{printable(path)} in {photo_list.file} is the end of several paths: {examples}", hint=hint
            )
        listed.update(matches)
        missing += [] if matches else [path]
    return listed, missing


def _matching(path: str, photo_paths: Sequence[str]) -> list[str]:
    """The photo with exactly this path. If there is none: all photos whose path ends with this path, or is the end of
    this path. Only whole names count: `1.jpg` is not the end of `11.jpg`."""
    if path in photo_paths:
        return [path]
    return [
        photo_path
        for photo_path in photo_paths
        if f"/{photo_path}".endswith(f"/{path}") or f"/{path}".endswith(f"/{photo_path}")
    ]
