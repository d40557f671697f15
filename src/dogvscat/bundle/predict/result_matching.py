"""Which photos have an answer already? The rows of a results file compared with the photos, side by side."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dogvscat.bundle.predict.result_rows import Row, file_stamp
from dogvscat.text import escape_undecodable


class OtherPhotos(Exception):
    """A row belongs to none of the photos, or the photos are in another order; the text names the first difference."""


@dataclass
class Matching:
    """The result of `match_rows`. The merged file has the valid rows only, with the inserted rows in their places.

    Memory grows with the number of photos without a row, and by one byte per row.
    """

    kept: bytearray = field(default_factory=bytearray)
    """For each row of the file, 1 if it is valid, 0 if its photo has changed since then."""
    insertions: list[int | None] = field(default_factory=list)
    """For each inserted row, the number of rows of the file before it; None if its photo has changed since then."""
    new_photos: list[str] = field(default_factory=list)
    """Photos without a valid row that come before the last row. Photos after that row are not looked at."""
    new_positions: list[int] = field(default_factory=list)
    """For each of these photos, the number of rows of the merged file before its row."""
    labels: Counter[str] = field(default_factory=Counter)
    """Labels of the rows of the merged file."""

    @property
    def num_changed(self) -> int:
        """Number of rows of the file whose photo has changed since then."""
        return self.kept.count(0)


def match_rows(rows: Iterable[Row], inserted: Iterable[Row], paths: Iterator[str]) -> Matching:
    """Compare rows with photos, both in the same order. Photos are taken only until every row is found.

    Args:
        rows: The rows of the file.
        inserted: Rows that belong between them, of a command that was killed.
        paths: The photos.

    Raises:
        OtherPhotos: if a row belongs to none of the photos that are left.
    """
    matching, waiting = Matching(), _Waiting(inserted)
    first_difference = ""
    for number, row in enumerate(rows, start=1):
        for path in paths:
            if escape_undecodable(path) == row.path:
                break
            first_difference = (
                first_difference or f"photo {number} was {row.path}, now it is {escape_undecodable(path)}"
            )
            _match_other(matching, waiting, path)
        else:
            raise OtherPhotos(first_difference or f"photo {number} was {row.path}, now there is none")
        if row.stamp == file_stamp(path):
            matching.kept.append(1)
            matching.labels[row.label] += 1
            if waiting.take(path):  # the row was merged, but the command was killed before it deleted the inserted rows
                matching.insertions.append(None)
        else:
            _match_other(matching, waiting, path)
            matching.kept.append(0)
    while waiting.row is not None and (next_path := next(paths, None)) is not None:
        _match_other(matching, waiting, next_path)
    return matching


class _Waiting:
    """The inserted rows, of which the first is looked at before it is taken."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = iter(rows)
        self.row = next(self._rows, None)

    def take(self, path: str) -> Row | None:
        """The next row, if it belongs to this photo."""
        row = self.row
        if row is None or row.path != escape_undecodable(path):
            return None
        self.row = next(self._rows, None)
        return row


def _match_other(matching: Matching, waiting: _Waiting, path: str) -> None:
    """Match a photo that has no valid row in the file."""
    row = waiting.take(path)
    is_valid = row is not None and row.stamp == file_stamp(path)
    if row is not None:
        matching.insertions.append(len(matching.kept) if is_valid else None)
    if row is not None and is_valid:
        matching.labels[row.label] += 1
    else:
        matching.new_photos.append(path)
        matching.new_positions.append(matching.labels.total())
