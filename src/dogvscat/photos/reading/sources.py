"""Where photos come from: a folder or a zip, with the class of each photo known and its bytes readable."""

import hashlib
import os
import posixpath
import stat
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dogvscat import stderr
from dogvscat.errors import LayoutError
from dogvscat.labels import ClassNames
from dogvscat.photos.decoding.decoder import read_photo
from dogvscat.photos.reading.archives import SafeZip
from dogvscat.photos.reading.folders import is_passed_over
from dogvscat.photos.reading.layout import Layout, Photo, recognize_layout, unlabeled_layout
from dogvscat.photos.reading.layout_messages import EXPECTED_LAYOUT

LayoutReader = Callable[[Iterable[str], Iterable[str], str], Layout]
"""From relative paths of files, relative paths of folders, and the location's name in errors, to a layout."""

SYNTHETIC_MARKER = "DRAWN_SAMPLE.txt"
"""A file with this name marks the images around it as drawn by code; they are not photographs."""
SYNTHETIC_NOTE = "pictures drawn by code, not photographs"
"""Shown with every result on such images, or of a network that learned from them."""


@dataclass(frozen=True)
class PhotoSource:
    """Labeled photos in a folder or a zip. Threads and processes may read through the same object."""

    location: Path
    """The folder or archive."""
    class_names: ClassNames
    photos: list[Photo]
    """Sorted by path."""
    skipped: int
    """Number of files that are not among the photos: not photos, hidden, or unlabeled."""
    is_synthetic: bool
    """Whether the images were drawn by code (see `dogvscat sample`)."""
    archive: SafeZip | None
    """None for a folder."""
    stamp: str = field(repr=False)
    """A digest that changes when a photo is added, removed or written again. It is cheap, because no file is read."""
    notes: tuple[str, ...] = ()
    """What a person should know about how the folders were read; one sentence per note."""

    def read(self, photo_path: str) -> bytes:
        """The bytes of one photo, by its relative path.

        Raises:
            ImageError: if the photo cannot be read.
            ArchiveError: if the archive turns out to be hostile or no longer exists.
        """
        if self.archive is not None:
            return self.archive.read(photo_path)
        return read_photo(self.location / photo_path)


def open_photos(path: Path, class_folders: Mapping[str, str] | None = None) -> PhotoSource:
    """The labeled photos of a folder or a zip; the file's content decides which it is, not its name.

    Args:
        path: The folder or zip.
        class_folders: The class that each of these folder names stands for; the names of others are read as usual.

    Raises:
        LayoutError: if there is nothing at `path`, or not photos of exactly two classes.
        ArchiveError: if it is a zip that is damaged or hostile.
    """
    return _open(path, partial(recognize_layout, class_folders=class_folders), EXPECTED_LAYOUT)


def open_neither(path: Path) -> PhotoSource:
    """Photos that show neither class, at any depth of a folder or a zip.

    Raises:
        LayoutError: if there is nothing at `path`, or no photo.
        ArchiveError: if it is a zip that is damaged or hostile.
    """
    return _open(path, unlabeled_layout, "Expected photos that show neither class, in any folders.")


def open_any(path: Path) -> PhotoSource:
    """Photos of anything, at any depth of a folder or a zip; their labels mean nothing.

    Raises:
        LayoutError: if there is nothing at `path`, or no photo.
        ArchiveError: if it is a zip that is damaged or hostile.
    """
    return _open(path, unlabeled_layout, "Expected photos, in any folders.")


def _open(path: Path, read_layout: LayoutReader, expected: str) -> PhotoSource:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LayoutError(f"cannot open {path}: {reason}", hint=f"Check the path. {expected}") from None
    if stat.S_ISDIR(status.st_mode):
        return _open_folder(path, read_layout)
    if _is_zip(path):
        return _open_zip(path, status, read_layout)
    raise LayoutError(f"{path} is a single file, expected a folder or a zip archive of photos", hint=expected)


def _open_folder(location: Path, read_layout: LayoutReader) -> PhotoSource:
    files: dict[str, bytes] = {}  # size in bytes and modification time in ns, as text: a status takes far more memory
    folders: list[str] = []
    num_special = 0
    for path, status in stderr.track(_walk(location), "Listing files"):
        if stat.S_ISREG(status.st_mode):
            files[path] = b"%d\0%d" % (status.st_size, status.st_mtime_ns)
        elif stat.S_ISDIR(status.st_mode):
            folders.append(path)
        else:  # a pipe, a device, or a link to nothing: opening one could block forever
            num_special += 1
    num_markers = _count_synthetic_markers(files)
    class_names, photos, notes = read_layout(files, folders, str(location))
    stamp = _digest((photo.path, files[photo.path]) for photo in photos)
    skipped = len(files) - len(photos) - num_markers + num_special
    return PhotoSource(location, class_names, photos, skipped, num_markers > 0, None, stamp, notes)


def _open_zip(location: Path, status: os.stat_result, read_layout: LayoutReader) -> PhotoSource:
    archive = SafeZip(location)
    num_markers = _count_synthetic_markers(archive.names)
    class_names, photos, notes = read_layout(archive.names, archive.folders, str(location))
    stamp = _digest([(location.name, b"%d\0%d" % (status.st_size, status.st_mtime_ns))])
    skipped = len(archive.names) + archive.num_passed_over - len(photos) - num_markers
    return PhotoSource(location, class_names, photos, skipped, num_markers > 0, archive, stamp, notes)


def _digest(stamps: Iterable[tuple[str, bytes]]) -> str:
    """Of paths and stamps. NUL separates them, as no path can contain it."""
    digest = hashlib.sha256()
    for path, stamp in stamps:
        digest.update(b"\0%b\0%b" % (os.fsencode(path), stamp))
    return digest.hexdigest()


def _walk(location: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything inside a folder at any depth: its relative path with forward slashes, and its status.

    Links to folders are followed, but no folder is entered twice. Real folders are entered before links, so that a
    photo that can be reached both ways gets its real path.
    """
    pending = deque([""])  # folders to be entered: real ones at the left end, links at the right end
    entered = set(location.resolve().parents)  # a link to one of these would lead back here
    while pending:
        folder = pending.popleft()
        resolved = (location / folder).resolve()
        if resolved in entered:
            continue
        entered.add(resolved)
        for entry in _entries(location, folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                status = entry.stat()
            except OSError:  # a link to nothing: report the link itself
                status = entry.stat(follow_symlinks=False)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                if entry.is_symlink():
                    pending.append(path)
                else:
                    pending.appendleft(path)


def _entries(location: Path, folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(location / folder) as entries:
            yield from entries
    except OSError as error:
        if any(map(is_passed_over, folder.split("/"))):  # hidden: none of its files would be used
            return
        reason = error.strerror or str(error)
        hint = "Make it readable for this user, or move it elsewhere."
        raise LayoutError(f"cannot list the folder {location / folder}: {reason}", hint=hint) from None


def _is_zip(path: Path) -> bool:
    """Whether a file is a zip, or was meant to be one and gets a zip's error message."""
    try:
        with path.open("rb") as file:
            signature = file.read(4)
    except OSError as error:
        raise LayoutError(f"cannot open {path}: {error.strerror or error}") from None
    # zipfile looks for the directory at the end, which is missing in an incomplete file.
    return signature == b"PK\x03\x04" or path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)


def _count_synthetic_markers(paths: Iterable[str]) -> int:
    return sum(posixpath.basename(path) == SYNTHETIC_MARKER for path in paths)
