"""Corrections of labels: a table that an audit proposes, a person edits, and a training applies to its own pictures."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from dogvscat import atomic
from dogvscat.errors import DataError
from dogvscat.labels import ClassNames
from dogvscat.photos.manifest import RELABELLED, Manifest, ManifestRow
from dogvscat.photos.splits import LEFT_OUT, TRAIN, check_splits

LEAVE_OUT = "leave_out"
"""A suggestion beside the names of the classes: the picture is of neither, or cannot be told."""

LEFT_OUT_BY_RELABEL = "left_out_by_relabel"
"""Among the issues of a manifest's row: why it is in no split."""

_SHA256 = re.compile("[0-9a-f]{64}")
_HINT = "`dogvscat audit PHOTOS --labels --out DIR` writes such a table; delete rows or change suggestions, no more."


@dataclass(frozen=True)
class Correction:
    """A row of the table: what should become of one photo's label."""

    path: str
    sha256: str
    filed_as: str
    suggestion: str
    """The name of a class, or `LEAVE_OUT`."""
    probability_of_suggestion: str
    """That of the class suggested, by networks that never saw the photo; empty for `LEAVE_OUT`. For the reader only."""


_HEADER = [field.name for field in fields(Correction)]


@dataclass(frozen=True)
class Relabelling:
    """A table of corrections, checked."""

    file: Path
    digest: str
    """sha256 of the file."""
    suggestions: Mapping[str, str]
    """By the sha256 of the photo: the name of a class, or `LEAVE_OUT`."""


@dataclass(frozen=True)
class Relabelled:
    """A manifest after its corrections."""

    manifest: Manifest
    num_relabelled: int
    """Training photos that are now learned as the other class."""
    num_left_out: int
    """Training photos that are now in no split."""
    num_held_out: int
    """Photos of validation and test that were named and keep their labels."""
    num_unknown: int
    """Entries about photos that the manifest does not hold."""


def write_corrections(path: Path, corrections: Iterable[Correction]) -> None:
    """Write the table.

    Raises:
        WriteError: if it cannot be written.
    """
    atomic.write_csv(path, _HEADER, map(astuple, corrections))


def read_relabelling(path: Path, class_names: ClassNames) -> Relabelling:
    """Read the table, edited or not.

    Args:
        path: A CSV file with the columns of `Correction`.
        class_names: What may be suggested beside `LEAVE_OUT`.

    Raises:
        DataError: naming file and line, if there is no such file or it is not such a table.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint=_HINT) from None
    suggestions: dict[str, str] = {}
    allowed = (*class_names, LEAVE_OUT)
    for line, row in _rows(path, data):
        sha256, suggestion = row[1].strip().lower(), row[3].strip()
        if not _SHA256.fullmatch(sha256):
            raise _malformed(path, line, f"expected a sha256 of 64 hexadecimal digits, received {row[1]!r}")
        if suggestion not in allowed:
            raise _malformed(path, line, f"expected a suggestion out of {', '.join(allowed)}, received {row[3]!r}")
        if suggestions.setdefault(sha256, suggestion) != suggestion:
            known = suggestions[sha256]
            raise _malformed(path, line, f"{row[0]} is to be {suggestion}, but the same file was to be {known} above")
    return Relabelling(path, hashlib.sha256(data).hexdigest(), suggestions)


def relabel(manifest: Manifest, relabelling: Relabelling) -> Relabelled:
    """Apply corrections to the training split alone; no photo changes its split, but for those left out.

    Validation and test keep the labels as filed: two trainings, with and without corrections, are then judged on the
    same answers. The manifest's digest stays, for it is about the files as filed.

    Raises:
        DataError: if the training split is left without photos of both classes.
    """
    rows, outcomes = [], Counter[str]()
    for row in manifest.rows:
        corrected, outcome = _corrected(row, relabelling.suggestions.get(row.sha256))
        rows.append(corrected)
        outcomes[outcome] += 1
    done = replace(manifest, rows=tuple(rows))
    check_splits(list(done.labels(done.rows)), [row.split for row in rows])
    unknown = relabelling.suggestions.keys() - {row.sha256 for row in rows}
    return Relabelled(done, outcomes[RELABELLED], outcomes[LEFT_OUT_BY_RELABEL], outcomes["held out"], len(unknown))


def _corrected(row: ManifestRow, suggestion: str | None) -> tuple[ManifestRow, str]:
    """The row as it is to be learned, and what was done about it."""
    if suggestion is None or row.split == LEFT_OUT or suggestion == row.label:
        return row, "unchanged"
    if row.split != TRAIN:
        return row, "held out"
    done = LEFT_OUT_BY_RELABEL if suggestion == LEAVE_OUT else RELABELLED
    issues = ";".join(filter(None, (row.issues, done)))
    if done == RELABELLED:
        return replace(row, label=suggestion, issues=issues), done
    return replace(row, split=LEFT_OUT, issues=issues), done


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line below the header; empty lines are passed over."""
    text = data.decode("utf-8-sig", "surrogateescape")  # spreadsheets put a byte-order mark in front
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = None
    while True:
        line = reader.line_num + 1  # where a row begins; a quoted path may hold line ends
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _malformed(path, line, str(error)) from None
        if header is None:
            header = row
            if header != _HEADER:
                raise _malformed(path, line, f"expected the columns {','.join(_HEADER)}, received {','.join(row)}")
        elif row:
            if len(row) != len(_HEADER):
                raise _malformed(path, line, f"expected {len(_HEADER)} cells, received {len(row)}")
            yield line, row
    if header is None:
        raise _malformed(path, 1, f"expected the columns {','.join(_HEADER)}, received an empty file")


def _malformed(path: Path, line: int, message: str) -> DataError:
    return DataError(f"{path}, line {line}: {message}", hint=_HINT)
