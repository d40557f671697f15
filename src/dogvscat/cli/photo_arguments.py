"""The photos that a command line names: files, folders that are searched for photos, and `-` for paths on stdin."""

import codecs
import os
import sys
from collections.abc import Iterable, Iterator

from dogvscat.errors import UsageError


class PhotoArguments:
    """The photos that the arguments of a command name. Paths are yielded while folders are walked, so that the memory
    needed does not grow with the number of photos.

    Args:
        arguments: As given on the command line.
        allow_urls: Whether URLs of object stores, such as `s3://bucket/photos/`, are opened through fsspec.
    """

    def __init__(self, arguments: Iterable[str], allow_urls: bool = False) -> None:
        self.arguments = list(arguments)
        self.allow_urls = allow_urls
        self.skipped = 0
        """Number of files in walked folders whose suffix is not that of a photo."""

    def paths(self) -> Iterator[str]:
        """Yield every path; those of a folder in sorted order.

        Raises:
            UsageError: if stdin is not text, or fsspec cannot open URLs of a protocol.
            DataError: if an object store cannot be listed.
        """
        for argument in self.arguments:
            if argument == "-":
                for number, line in enumerate(sys.stdin.buffer):
                    if number == 0:  # Windows programs write a byte order mark
                        line = line.removeprefix(codecs.BOM_UTF8)
                    if b"\0" in line:
                        hint = "Example: find photos -name '*.jpg' | dogvscat predict -"
                        raise UsageError("stdin is not text, expected a list of paths, one per line", hint=hint)
                    if path := os.fsdecode(line.rstrip(b"\r\n")):
                        yield from self._expand(path)
            else:
                yield from self._expand(argument)

    def count(self) -> int | None:
        """The number of paths, counted by a separate walk; None if there is a list on stdin, which can be read once."""
        if "-" in self.arguments:
            return None
        return sum(1 for _ in PhotoArguments(self.arguments, self.allow_urls).paths())  # leaves `skipped` unchanged

    def _expand(self, path: str) -> Iterator[str]:
        if self.allow_urls:
            from dogvscat.photos.reading.object_store import is_url, list_photos

            if is_url(path):
                objects = list_photos(path)
                self.skipped += objects.skipped
                yield from objects.urls
                return
        if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, never raises
            yield path
            return
        from dogvscat.photos.reading.folders import has_photo_suffix, is_passed_over

        unreadable: list[str] = []
        for folder, folders, files in os.walk(path, onerror=lambda error: unreadable.append(error.filename)):
            folders[:] = sorted(name for name in folders if not is_passed_over(name))  # in place: what os.walk visits
            for name in sorted(files):
                if has_photo_suffix(name) and not is_passed_over(name):
                    yield f"{folder.rstrip(os.sep)}{os.sep}{name}"
                else:
                    self.skipped += 1
        yield from unreadable  # such a folder then becomes a failure, as a photo that cannot be opened does
