"""Where photos come from: a folder or a zip, each with its classes known and each photo readable as bytes."""

import hashlib
import os
import posixpath
import stat
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dogvscat.errors import LayoutError
from dogvscat.labels import ClassNames
from dogvscat.photos.archives import SafeZip
from dogvscat.photos.decoder import read_photo
from dogvscat.photos.layout import EXPECTED, Layout, Photo, arrange, arrange_neither

Arrange = Callable[[Iterable[str], Iterable[str], str], Layout]
"""From the relative paths of files and folders, and what to call the whole in errors, to photos with their classes."""

SYNTHETIC_MARKER = "DRAWN_SAMPLE.txt"
"""A file of this name says that the pictures beside it were drawn by code and are no photographs."""


@dataclass(frozen=True)
class PhotoSource:
    """Labelled photos in a folder or a zip. Any number of threads and processes may read through one."""

    location: Path
    """The folder or archive."""
    class_names: ClassNames
    photos: list[Photo]
    """Sorted by path."""
    skipped: int
    """Files that are not among the photos: of another kind, hidden, or unlabelled."""
    is_synthetic: bool
    """Whether the pictures were drawn by code (see `dogvscat sample`)."""
    archive: SafeZip | None
    stamps: tuple[tuple[str, int, int], ...] = field(repr=False)
    """Path, size in bytes and time of change in ns, of each file that the photos are read from."""

    def read(self, photo_path: str) -> bytes:
        """The bytes of one photo, by its relative path.

        Raises:
            ImageError: if it cannot be read.
            ArchiveError: if the archive turns out to be hostile or is gone.
        """
        if self.archive is not None:
            return self.archive.read(photo_path)
        return read_photo(self.location / photo_path)

    def fingerprint(self) -> str:
        """A digest that changes when a file is added, removed or written again; cheap, for keying caches."""
        digest = hashlib.sha256(os.fsencode(self.location.resolve()))
        for path, num_bytes, changed in self.stamps:
            digest.update(b"\0" + os.fsencode(path) + f"\0{num_bytes}\0{changed}".encode())
        return digest.hexdigest()


def open_photos(path: Path) -> PhotoSource:
    """The labelled photos of a folder or a zip; the content decides which it is.

    Raises:
        LayoutError: if there is nothing at `path`, or not photos of exactly two classes.
        ArchiveError: if it is a zip that is damaged or hostile.
    """
    return _open(path, arrange, EXPECTED)


def open_neither(path: Path) -> PhotoSource:
    """Photos of neither class, from anywhere in a folder or a zip.

    Raises:
        LayoutError: if there is nothing at `path`, or no photo.
        ArchiveError: if it is a zip that is damaged or hostile.
    """
    return _open(path, arrange_neither, "Expected photos that show neither class, in any folders.")


def open_any(path: Path) -> PhotoSource:
    """Photos of whatever it may be, from anywhere in a folder or a zip; their labels mean nothing.

    Raises:
        LayoutError: if there is nothing at `path`, or no photo.
        ArchiveError: if it is a zip that is damaged or hostile.
    """
    return _open(path, arrange_neither, "Expected photos, in any folders.")


def _open(path: Path, arrange: Arrange, expected: str) -> PhotoSource:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LayoutError(f"cannot open {path}: {reason}", hint=f"Check the path. {expected}") from None
    if stat.S_ISDIR(status.st_mode):
        return _open_folder(path, arrange)
    if _is_zip(path):
        return _open_zip(path, status, arrange)
    raise LayoutError(f"{path} is a single file, expected a folder or a zip archive of photos", hint=expected)


def _open_folder(location: Path, arrange: Arrange) -> PhotoSource:
    files: dict[str, os.stat_result] = {}
    folders: list[str] = []
    others = 0
    for path, status in _walk(location):
        if stat.S_ISREG(status.st_mode):
            files[path] = status
        elif stat.S_ISDIR(status.st_mode):
            folders.append(path)
        else:  # a pipe, a device, a link to nowhere: opening one could wait for ever
            others += 1
    class_names, photos = arrange(files, folders, str(location))
    stamps = tuple((photo.path, files[photo.path].st_size, files[photo.path].st_mtime_ns) for photo in photos)
    notes = _count_drawn_notes(files)
    skipped = len(files) - len(photos) - notes + others
    return PhotoSource(location, class_names, photos, skipped, notes > 0, None, stamps)


def _open_zip(location: Path, status: os.stat_result, arrange: Arrange) -> PhotoSource:
    archive = SafeZip(location)
    class_names, photos = arrange(archive.names, archive.folders, str(location))
    stamps = ((location.name, status.st_size, status.st_mtime_ns),)
    notes = _count_drawn_notes(archive.names)
    skipped = len(archive.names) - len(photos) - notes
    return PhotoSource(location, class_names, photos, skipped, notes > 0, archive, stamps)


def _walk(location: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder with forward slashes; linked folders are entered last and no folder twice."""
    waiting = deque([""])
    entered = set(location.resolve().parents)  # a link to one of these would lead around in circles
    while waiting:
        folder = waiting.popleft()
        resolved = (location / folder).resolve()
        if resolved in entered:
            continue
        entered.add(resolved)
        for entry in _list(location, folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                status = entry.stat()
            except OSError:
                status = entry.stat(follow_symlinks=False)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                if entry.is_symlink():
                    waiting.append(path)
                else:
                    waiting.appendleft(path)


def _list(location: Path, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(location / folder) as entries:
            return list(entries)
    except OSError as error:
        if any(part.startswith(".") for part in folder.split("/")):
            return []
        reason = error.strerror or str(error)
        hint = "Make it readable for this user, or move it elsewhere."
        raise LayoutError(f"cannot look into the folder {location / folder}: {reason}", hint=hint) from None


def _is_zip(path: Path) -> bool:
    """Whether it is, or was meant to be, a zip: one that was cut short has only its beginning to tell."""
    try:
        with path.open("rb") as file:
            beginning = file.read(4)
    except OSError as error:
        raise LayoutError(f"cannot open {path}: {error.strerror or error}") from None
    return beginning == b"PK\x03\x04" or path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)


def _count_drawn_notes(paths: Iterable[str]) -> int:
    return sum(posixpath.basename(path) == SYNTHETIC_MARKER for path in paths)
