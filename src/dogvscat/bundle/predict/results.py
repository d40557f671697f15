"""Answers in a file, a row a photo, in the order of the photos. A run that was killed goes on where the file ends.

Rows are appended and flushed to the disk about once a second; on going on, a row that was cut off is removed and the
photos that have rows are passed over. Each row names the model, so that answers of two models cannot be mixed.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from dogvscat.atomic import atomic_file, flush_folder, writing
from dogvscat.bundle.predict.predictor import Failure, Prediction
from dogvscat.bundle.predict.result_rows import RESULT_SUFFIXES, CsvRows, JsonRows, Row, RowFormat
from dogvscat.errors import UsageError
from dogvscat.labels import ClassNames
from dogvscat.text import as_utf8, json_line

_SECONDS_UNSAVED = 1.0
_MOST_TORN = 1024 * 1024
"""Bytes: what comes after the last whole row cannot be more than a row that was cut off."""


class ResultsFile:
    """A file of answers that is being written; a context manager.

    A `.parquet` cannot be appended to: its rows are kept beside it as JSON lines until `finish`.

    Args:
        path: Ends with `.csv`, `.jsonl` or `.parquet`.
        class_names: In label order.
        model: Digest of the bundle that answers.

    Raises:
        UsageError: if the ending is another, or the file holds something else.
        WriteError: if it cannot be written.
    """

    def __init__(self, path: Path, class_names: ClassNames, model: str) -> None:
        if path.suffix.lower() not in RESULT_SUFFIXES:
            hint = "Example: dogvscat predict photos/ --out results.csv"
            raise UsageError(f"--out {path} should end with {', '.join(RESULT_SUFFIXES)}", hint=hint)
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder, expected a file to write")
        self.path = path
        self.labels: Counter[str] = Counter()
        """How many photos got which label, those of earlier runs as well; failures count as `error`."""
        self.num_kept = 0
        """Rows that were there before."""
        self._columnar = path.suffix.lower() == ".parquet"
        self._rows_file = path.with_name(f"{path.name}.unfinished.jsonl") if self._columnar else path
        rows = CsvRows if path.suffix.lower() == ".csv" else JsonRows
        self._format: RowFormat = rows(class_names, model[:16])
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._unpacked = self._columnar and path.exists() and not self._rows_file.exists()
            """Whether the rows beside a Parquet are only a copy of it."""
            if self._unpacked:
                self._unpack()
            self._file = open(self._rows_file, "a+b")  # noqa: PTH123, SIM115 - closed by __exit__
        self._saved_at = time.monotonic()

    def __enter__(self) -> Self:
        try:
            _lock(self._file, self.path)
            self._begin()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self.path), self._file:
            self._save()
            if self._unpacked:
                self._rows_file.unlink(missing_ok=True)

    def go_on(self, paths: Iterable[str]) -> Iterator[str]:
        """Pass over the photos that have rows already.

        Args:
            paths: All photos, in the order of the rows.

        Returns:
            The photos that are left.

        Raises:
            UsageError: if the rows are of another model, of other photos, or no rows at all.
        """
        left = iter(paths)
        end = self._file.tell()  # behind the header
        for record in self._records():
            row = self._format.read(record)
            if row is None:
                raise self._refusal("holds a row that is none of ours")
            if row.model != self._format.model:
                raise self._refusal(f"holds answers of another model ({row.model}, this one is {self._format.model})")
            path = next(left, None)
            if path is None or as_utf8(path) != row.path:
                number, now = self.num_kept + 1, "there is none" if path is None else f"it is {as_utf8(path)}"
                raise self._refusal(f"was begun with other photos: number {number} was {row.path}, now {now}")
            self.num_kept += 1
            self.labels[row.label] += 1
            end += len(record)
        with writing(self.path):
            self._file.truncate(end)  # what is left of a row that was cut off
        return left

    def write(self, answer: Prediction | Failure) -> None:
        """Append a row.

        Raises:
            WriteError: if the disk is full; the same command then goes on.
        """
        self.labels["error" if isinstance(answer, Failure) else answer.label] += 1
        self._unpacked = False
        with writing(self.path):
            self._file.write(self._format.write(answer))
            if time.monotonic() - self._saved_at > _SECONDS_UNSAVED:
                self._save()

    def finish(self) -> None:
        """All rows are there; now a `.parquet` is made of them."""
        with writing(self.path):
            self._save()
        if self._columnar:
            from dogvscat.bundle.predict.parquet import write_parquet

            self._file.seek(0)
            rows = (row for record in self._file if (row := self._format.read(record)))
            write_parquet(self.path, rows, self._format.class_names)
            self._rows_file.unlink(missing_ok=True)

    def _begin(self) -> None:
        """Stand behind the header; an empty file gets one."""
        self._file.seek(0)
        header = self._format.header
        found = self._file.read(len(header))
        if header.startswith(found) and len(found) < len(header):  # a new file, or killed while writing the header
            with writing(self.path):
                self._file.truncate(0)
                self._file.write(header)
                self._save()
                flush_folder(self.path.parent)
        elif found != header:
            raise self._refusal(f"begins with {found[:60]!r}, expected {header[:60]!r}")

    def _records(self) -> Iterator[bytes]:
        """Each whole row, as bytes."""
        record = b""
        for line in self._file:
            record += line
            if line.endswith(b"\n") and self._format.is_whole(record):
                yield record
                record = b""
            elif len(record) > _MOST_TORN:
                raise self._refusal("holds a row that has no end")

    def _save(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._saved_at = time.monotonic()

    def _unpack(self) -> None:
        """A finished Parquet as rows again, so that photos can be added."""
        from dogvscat.bundle.predict.parquet import read_parquet

        rows: Iterable[Row] | None = read_parquet(self.path, self._format.class_names)
        if rows is None:
            raise self._refusal("is no table of results")
        with atomic_file(self._rows_file) as file:
            for row in rows:
                file.write(f"{json_line(row.document)}\n".encode())

    def _refusal(self, reason: str) -> UsageError:
        hint = "Choose another --out, or remove the file to begin anew."
        return UsageError(f"{self._rows_file} {reason}", hint=hint)


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep a second process from writing to the same file, where the system can."""
    with suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process is writing to {path}", hint="Choose another --out.") from None
        except OSError:  # some network file systems cannot lock
            return
