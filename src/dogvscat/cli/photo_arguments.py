"""The photos that a command line means: files, folders walked for photos, and `-` for a list of paths on stdin."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from dogvscat.errors import UsageError


class PhotoArguments:
    """The files that some arguments mean. Folders are walked, never listed: a million photos take no memory.

    Args:
        arguments: As given.
        objects: Whether URLs are followed to where fsspec leads.
    """

    def __init__(self, arguments: Iterable[str], objects: bool = False) -> None:
        self.arguments = list(arguments)
        self.objects = objects
        self.skipped = 0
        """Files in walked folders that are no photos by their suffix."""

    def paths(self) -> Iterator[str]:
        """Every path, folders in sorted order."""
        for argument in self.arguments:
            if argument == "-":
                for line in sys.stdin.buffer:
                    if b"\0" in line:
                        hint = "Example: find photos -name '*.jpg' | dogvscat predict -"
                        raise UsageError("stdin is no text, expected a list of paths, one a line", hint=hint)
                    if path := os.fsdecode(line.rstrip(b"\r\n")):
                        yield from self._expanded(path)
            else:
                yield from self._expanded(argument)

    def count(self) -> int | None:
        """How many paths there are, found by walking the folders once more; None if a list on stdin is yet to come."""
        return None if "-" in self.arguments else sum(1 for _ in PhotoArguments(self.arguments, self.objects).paths())

    def _expanded(self, path: str) -> Iterator[str]:
        from dogvscat.photos.decoder import PHOTO_SUFFIXES

        if self.objects:
            from dogvscat.photos.object_store import find_objects, is_url

            if is_url(path):
                found = find_objects(path)
                self.skipped += found.skipped
                yield from found.urls
                return
        if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, never raises
            yield path
            return
        closed: list[str] = []
        for folder, folders, files in os.walk(path, onerror=lambda error: closed.append(error.filename)):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith("."):
                    yield f"{folder.rstrip(os.sep)}{os.sep}{name}"
                else:
                    self.skipped += 1
        yield from closed  # a folder that cannot be looked into fails like a photo that cannot be opened
