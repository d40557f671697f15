"""One answer as a row of CSV or as a JSON line, and back."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Any, Protocol

from dogvscat.bundle.predict.predictor import Failure, Prediction
from dogvscat.labels import NEITHER, ClassNames
from dogvscat.text import as_utf8, json_line

RESULT_SUFFIXES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Row:
    """What a row says."""

    path: str
    label: str
    """A class name, `unsure`, or `error`."""
    model: str
    """The first 16 digits of the bundle's digest."""
    document: dict[str, Any]
    """All of it, as the JSON line has it."""


class RowFormat(Protocol):
    """How rows are written and read."""

    class_names: ClassNames
    model: str
    header: bytes

    def __init__(self, class_names: ClassNames, model: str) -> None: ...

    def write(self, answer: Prediction | Failure) -> bytes:
        """The row of an answer, with its line end."""

    def read(self, record: bytes) -> Row | None:
        """The row that these bytes say, or None if they say none."""

    def is_whole(self, record: bytes) -> bool:
        """Whether a line end at the end of these bytes ends the row."""


class JsonRows:
    """A JSON object a line, as `predict --json` shows it, with the model."""

    def __init__(self, class_names: ClassNames, model: str) -> None:
        self.class_names = class_names
        self.model = model
        self.header = b""

    def write(self, answer: Prediction | Failure) -> bytes:
        """The row of an answer, with its line end."""
        return f"{json_line({**answer.to_dict(), 'model': self.model})}\n".encode()

    def read(self, record: bytes) -> Row | None:
        """The row that these bytes say, or None if they say none."""
        try:
            document = json.loads(record)
            label = "error" if "error" in document else document["label"]
            return Row(document["path"], label, document["model"], document)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def is_whole(self, record: bytes) -> bool:
        """Always: JSON escapes line ends."""
        return True


class CsvRows:
    """Columns path, label, a probability a class, neither, error, message, model."""

    def __init__(self, class_names: ClassNames, model: str) -> None:
        self.class_names = class_names
        self.model = model
        self.columns = result_columns(class_names)
        self.header = _csv_line(self.columns)

    def write(self, answer: Prediction | Failure) -> bytes:
        """The row of an answer, with its line end."""
        cells = flat({**answer.to_dict(), "model": self.model}, self.class_names)
        return _csv_line(["" if cell is None else cell for cell in cells.values()])

    def read(self, record: bytes) -> Row | None:
        """The row that these bytes say, or None if they say none."""
        try:
            (cells,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=True)
            row = dict(zip(self.columns, cells, strict=True))
            return Row(row["path"], row["label"] or "error", row["model"], row)
        except (ValueError, csv.Error):
            return None

    def is_whole(self, record: bytes) -> bool:
        """Unless the line end belongs to a file name, which is then in quotes."""
        return record.count(b'"') % 2 == 0


def result_columns(class_names: ClassNames) -> list[str]:
    """The columns of a table of results."""
    probabilities = [f"probability_{name}" for name in class_names]
    return ["path", "label", *probabilities, NEITHER, "error", "message", "model"]


def flat(document: dict[str, Any], class_names: ClassNames) -> dict[str, Any]:
    """A JSON row as cells by column; None where there is nothing to say."""
    probabilities, error = document.get("probabilities", {}), document.get("error", {})
    cells = [document["path"], document.get("label"), *(probabilities.get(name) for name in class_names)]
    cells += [document.get(NEITHER), error.get("code"), error.get("message"), document["model"]]
    return dict(zip(result_columns(class_names), cells, strict=True))


def _csv_line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # so that it quotes a bare \r in a file name as well
    return (as_utf8(text.getvalue().removesuffix("\r\n")) + "\n").encode()
