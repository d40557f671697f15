"""Corrections of labels: a table that an audit proposes, a person edits, and a training applies to its photos."""

import codecs
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
from dogvscat.labels import LEAVE_OUT, ClassNames
from dogvscat.photos.manifest import RELABELLED, Manifest, ManifestRow
from dogvscat.photos.splits import LEFT_OUT, TRAIN, check_splits
from dogvscat.text import unescape_cell

LEFT_OUT_BY_RELABEL = "left_out_by_relabel"
"""One of a manifest row's issues: the reason why it is in no split."""

_UNCHANGED, _HELD_OUT = "unchanged", "held out"  # outcomes of a correction that add no issue to the row
_DELIMITERS = (",", ";", "\t")
_SHA256 = re.compile("[0-9a-f]{64}")
_HINT = "`dogvscat audit PHOTOS --labels --out FOLDER` writes such a table; only delete rows or change suggestions."


@dataclass(frozen=True)
class Correction:
    """One row of the table: the label that one photo should have."""

    path: str
    sha256: str
    filed_as: str
    suggestion: str
    """The name of a class, or `LEAVE_OUT`."""
    probability_of_suggestion: str
    """The suggested class's probability by networks that were not trained on the photo; empty for `LEAVE_OUT`. It is
    for people, and is not read."""


_HEADER = [field.name for field in fields(Correction)]


@dataclass(frozen=True)
class Relabeling:
    """A table of corrections that was read and checked."""

    file: Path
    digest: str
    """sha256 of the file."""
    suggestions: Mapping[str, str]
    """From the sha256 of a photo to the name of a class, or `LEAVE_OUT`."""


@dataclass(frozen=True)
class Relabeled:
    """A manifest with its corrections applied, and how many corrections had which outcome."""

    manifest: Manifest
    num_relabeled: int
    """Training photos that now have the other label."""
    num_left_out: int
    """Training photos that are now in no split."""
    num_held_out: int
    """Validation and test photos that the table corrects; they keep their labels."""
    num_unknown: int
    """Corrections of photos that are not in the manifest."""


def write_corrections(path: Path, corrections: Iterable[Correction]) -> None:
    """Write the table.

    Raises:
        WriteError: if it cannot be written.
    """
    atomic.write_csv(path, _HEADER, map(astuple, corrections))


def read_relabeling(path: Path, class_names: ClassNames) -> Relabeling:
    """Read the table, edited or not.

    Args:
        path: A CSV file with the columns of `Correction`.
        class_names: The suggestions that are allowed in addition to `LEAVE_OUT`.

    Raises:
        DataError: if the file is missing or is not such a table; file and line are named.
    """
    data = _read(path)
    suggestions: dict[str, str] = {}
    for line, correction in _corrections(path, data, class_names):
        suggestion = correction.suggestion
        if suggestions.setdefault(correction.sha256, suggestion) != suggestion:
            above = f"a line above suggests {suggestions[correction.sha256]} for the same file"
            message = f"the suggestion for {correction.path} is {suggestion}, but {above}"
            raise _malformed(path, line, message)
    return Relabeling(path, hashlib.sha256(data).hexdigest(), suggestions)


def read_corrections(path: Path, class_names: ClassNames) -> list[Correction]:
    """All rows of the table. Arguments and errors as for `read_relabeling`, but rows may contradict each other."""
    return [correction for _, correction in _corrections(path, _read(path), class_names)]


def relabel(manifest: Manifest, relabeling: Relabeling) -> Relabeled:
    """Apply corrections to the training split only; no photo moves to another split, but some are left out.

    Validation and test photos keep the labels as filed, so that trainings with and without corrections are evaluated on
    the same labels. The manifest's digest does not change, because it is computed from the labels as filed.

    Raises:
        DataError: if the training split is left without photos of both classes.
    """
    rows, outcomes = [], Counter[str]()
    for row in manifest.rows:
        corrected, outcome = _corrected(row, relabeling.suggestions.get(row.sha256))
        rows.append(corrected)
        outcomes[outcome] += 1
    corrected_manifest = replace(manifest, rows=tuple(rows))
    check_splits(corrected_manifest.labels(rows).tolist(), [row.split for row in rows])
    unknown = relabeling.suggestions.keys() - {row.sha256 for row in rows}
    return Relabeled(
        corrected_manifest, outcomes[RELABELLED], outcomes[LEFT_OUT_BY_RELABEL], outcomes[_HELD_OUT], len(unknown)
    )


def _corrected(row: ManifestRow, suggestion: str | None) -> tuple[ManifestRow, str]:
    """The row after its correction, and the outcome of the correction."""
    if suggestion is None or row.split == LEFT_OUT or suggestion == row.label:
        return row, _UNCHANGED
    if row.split != TRAIN:
        return row, _HELD_OUT
    outcome = LEFT_OUT_BY_RELABEL if suggestion == LEAVE_OUT else RELABELLED
    issues = ";".join(filter(None, (row.issues, outcome)))
    if outcome == RELABELLED:
        return replace(row, label=suggestion, issues=issues), outcome
    return replace(row, split=LEFT_OUT, issues=issues), outcome


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint=_HINT) from None


def _corrections(path: Path, data: bytes, class_names: ClassNames) -> Iterator[tuple[int, Correction]]:
    """Line number and content of each row, checked."""
    allowed = (*class_names, LEAVE_OUT)
    for line, row in _rows(path, data):
        sha256, suggestion = row[1].strip().lower(), row[3].strip()  # spreadsheets may add spaces
        if not _SHA256.fullmatch(sha256):
            raise _malformed(path, line, f"expected a sha256 of 64 hexadecimal digits, received {row[1]!r}")
        if suggestion not in allowed:
            raise _malformed(path, line, f"expected one of {', '.join(allowed)} as suggestion, received {row[3]!r}")
        yield line, Correction(row[0], sha256, row[2].strip(), suggestion, row[4].strip())


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row below the header; rows without content are skipped."""
    text, delimiter = _text_and_delimiter(data)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    header = None
    while True:
        line = reader.line_num + 1  # where the row starts; a quoted path may contain line ends
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _malformed(path, line, str(error)) from None
        if header is None:
            if len(row) and row[0].lower().startswith("sep="):
                continue  # the line by which a file tells Excel its delimiter
            header = row
            if [cell.strip().lower() for cell in header] != _HEADER:
                raise _malformed(
                    path, line, f"expected the columns {','.join(_HEADER)}, received {delimiter.join(row)}"
                )
        elif any(map(str.strip, row)):
            if len(row) != len(_HEADER):
                raise _malformed(path, line, f"expected {len(_HEADER)} cells, received {len(row)}")
            yield line, [*map(unescape_cell, row)]
    if header is None:
        raise _malformed(path, 1, f"expected the columns {','.join(_HEADER)}, received an empty file")


def _text_and_delimiter(data: bytes) -> tuple[str, str]:
    """The text of a table and its delimiter; spreadsheets choose delimiter and encoding by country."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif data[:2].count(0) == 1:  # UTF-16 without a mark: one byte of the first letter is 0
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    text = data.decode(encoding, "replace" if encoding.startswith("utf-16") else "surrogateescape")
    header = next((line for line in text.splitlines()[:2] if line.strip('"').lower().startswith(_HEADER[0])), "")
    return text, max(_DELIMITERS, key=header.count)  # the comma where there is none


def _malformed(path: Path, line: int, message: str) -> DataError:
    return DataError(f"{path}, line {line}: {message}", hint=_HINT)
