"""One prediction or failure as a row of CSV or as a JSON line, and back."""

import csv
import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from dogvscat.bundle.predict.prediction import Failure, Prediction
from dogvscat.labels import FAILED, NEITHER, ClassNames
from dogvscat.text import escape_cell, escape_undecodable, json_line, unescape_cell

RESULT_SUFFIXES = (".csv", ".jsonl", ".parquet")


class FileStamp(NamedTuple):
    """Size and time of a photo's file: another stamp means another photo under the same name."""

    num_bytes: int | None
    modified: str | None
    """UTC, ISO 8601, to the microsecond. Both are None for a file that is missing and for objects of object stores."""


def file_stamp(path: str) -> FileStamp:
    """The stamp of a file as it is now."""
    try:
        status = os.stat(path)  # noqa: PTH116 - Path(path).stat() takes twice as long, for each of a million rows
        seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
        modified = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000, tzinfo=None)
    except (OSError, ValueError, OverflowError):  # a NUL byte in the name; a time after the year 9999
        return FileStamp(None, None)
    return FileStamp(status.st_size, f"{modified.isoformat(timespec='microseconds')}Z")


@dataclass(frozen=True)
class Row:
    """The content of a row."""

    path: str
    label: str
    """A class name, `unsure`, or `FAILED`."""
    model: str
    """Name of the bundle, such as `best@3f9c2ab81d04`."""
    stamp: FileStamp
    """Of the photo when it was predicted."""
    document: dict[str, Any]
    """The whole row in the form of the JSON line."""


class RowFormat(Protocol):
    """A format in which rows are written and read."""

    class_names: ClassNames
    model: str
    header: bytes

    def __init__(self, class_names: ClassNames, model: str) -> None: ...

    def write(self, result: Prediction | Failure, stamp: FileStamp) -> bytes:
        """A result as bytes, with the line end."""

    def read(self, record: bytes) -> Row | None:
        """Bytes as a row, or None if they are not a row of this format."""

    def is_whole(self, record: bytes) -> bool:
        """Whether the line end at the end of these bytes is the end of a row."""


class JsonRows:
    """One JSON object per line, as from `predict --json`, with the model added."""

    def __init__(self, class_names: ClassNames, model: str) -> None:
        self.class_names = class_names
        self.model = model
        self.header = b""

    def write(self, result: Prediction | Failure, stamp: FileStamp) -> bytes:
        """A result as bytes, with the line end."""
        return f"{json_line(_document(result, stamp, self.model))}\n".encode()

    def read(self, record: bytes) -> Row | None:
        """Bytes as a row, or None if they are not a row of this format."""
        try:
            document = json.loads(record)
            label = FAILED if "error" in document else document["label"]  # KeyError: not a row
            stamp = FileStamp(document["bytes"], document["modified"])
            return Row(document["path"], label, document["model"], stamp, document)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def is_whole(self, record: bytes) -> bool:
        """Always, because JSON escapes line ends inside texts."""
        return True


class CsvRows:
    """One row per line, with the columns of `result_columns`."""

    def __init__(self, class_names: ClassNames, model: str) -> None:
        self.class_names = class_names
        self.model = model
        self.columns = result_columns(class_names)
        self.header = _csv_line(self.columns)

    def write(self, result: Prediction | Failure, stamp: FileStamp) -> bytes:
        """A result as bytes, with the line end."""
        cells = flatten(_document(result, stamp, self.model), self.class_names)
        return _csv_line(["" if cell is None else cell for cell in cells.values()])

    def read(self, record: bytes) -> Row | None:
        """Bytes as a row, or None if they are not a row of this format."""
        try:
            (cells,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=True)
            row = dict(zip(self.columns, map(unescape_cell, cells), strict=True))
            stamp = FileStamp(int(row["bytes"]) if row["bytes"] else None, row["modified"] or None)
            return Row(row["path"], row["label"] or FAILED, row["model"], stamp, row)
        except (ValueError, csv.Error):
            return None

    def is_whole(self, record: bytes) -> bool:
        """False while the line end belongs to a file name in quotes whose closing quote is still missing."""
        return record.count(b'"') % 2 == 0  # a quote inside a cell is doubled, so it counts as two


def result_columns(class_names: ClassNames) -> list[str]:
    """The columns of a CSV or Parquet file of results."""
    probabilities = [f"probability_{name}" for name in class_names]
    return ["path", "label", "reason", *probabilities, NEITHER, "error", "message", "model", "bytes", "modified"]


def flatten(document: dict[str, Any], class_names: ClassNames) -> dict[str, Any]:
    """A JSON row as cells by column; None where the cell is empty."""
    probabilities, error = document.get("probabilities", {}), document.get("error", {})
    cells = [document["path"], document.get("label"), document.get("reason")]
    cells += [*(probabilities.get(name) for name in class_names), document.get(NEITHER)]
    cells += [error.get("code"), error.get("message"), document["model"], document["bytes"], document["modified"]]
    return dict(zip(result_columns(class_names), cells, strict=True))


def _document(result: Prediction | Failure, stamp: FileStamp, model: str) -> dict[str, Any]:
    return {**result.to_dict(), "model": model, "bytes": stamp.num_bytes, "modified": stamp.modified}


def _csv_line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    # The writer quotes the characters of its line end; \r\n makes it quote a single \r in a file name as well.
    csv.writer(text, lineterminator="\r\n").writerow(
        escape_cell(cell) if isinstance(cell, str) else cell for cell in cells
    )
    return (escape_undecodable(text.getvalue().removesuffix("\r\n")) + "\n").encode()
