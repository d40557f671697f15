"""Predictions in a file, one row per photo, in the order of the photos. A killed command resumes where the file ends.

Rows are appended, and written through to the disk about once a second. On resuming, a row that was cut off is removed,
and photos that have a row are skipped. Each row names the model, so that predictions of two models cannot be mixed.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from dogvscat.atomic import atomic_file, flush_folder, wrap_write_errors
from dogvscat.bundle.predict.predictor import Failure, Prediction
from dogvscat.bundle.predict.result_rows import RESULT_SUFFIXES, CsvRows, JsonRows, Row, RowFormat
from dogvscat.errors import UsageError
from dogvscat.labels import FAILED, ClassNames
from dogvscat.locks import try_lock
from dogvscat.text import escape_undecodable, json_line

_SECONDS_UNSAVED = 1.0
_LONGEST_ROW = 1024 * 1024
"""In bytes. A longer row without a line end was not written by this program."""


class ResultsFile:
    """A file of predictions that is being written; a context manager.

    A `.parquet` cannot be appended to: until `finish`, its rows are JSON lines in a second file next to it.

    Args:
        path: Ends with `.csv`, `.jsonl` or `.parquet`.
        class_names: In label order.
        model: Digest of the bundle that predicts.

    Raises:
        UsageError: if the suffix is another one, or the file has other contents.
        WriteError: if it cannot be written.
    """

    def __init__(self, path: Path, class_names: ClassNames, model: str) -> None:
        if path.suffix.lower() not in RESULT_SUFFIXES:
            hint = "Example: dogvscat predict photos/ --out results.csv"
            expected = f"{', '.join(RESULT_SUFFIXES[:-1])} or {RESULT_SUFFIXES[-1]}"
            raise UsageError(f"--out should end with {expected}, received {path}", hint=hint)
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder, expected a file to write")
        self.path = path
        self.labels: Counter[str] = Counter()
        """Number of photos with each label, including those of earlier runs; failures count as `FAILED`."""
        self.num_existing = 0
        """Rows that the file had before."""
        self._is_parquet = path.suffix.lower() == ".parquet"
        self._rows_file = path.with_name(f"{path.name}.unfinished.jsonl") if self._is_parquet else path
        rows = CsvRows if path.suffix.lower() == ".csv" else JsonRows
        self._format: RowFormat = rows(class_names, model[:16])
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._is_unpacked_copy = self._is_parquet and path.exists() and not self._rows_file.exists()
            """Whether the file of JSON lines is only a copy of a finished Parquet, with nothing added yet."""
            if self._is_unpacked_copy:
                self._unpack()
            self._file = open(self._rows_file, "a+b")  # noqa: PTH123, SIM115 - closed by __exit__
        self._saved_at = time.monotonic()  # seconds

    def __enter__(self) -> Self:
        try:
            if not try_lock(self._file):
                raise UsageError(f"another process is writing to {self.path}", hint="Choose another --out.")
            self._check_header()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with wrap_write_errors(self.path), self._file:
            self._save()
            if self._is_unpacked_copy:
                self._rows_file.unlink(missing_ok=True)

    def resume(self, paths: Iterable[str]) -> Iterator[str]:
        """Skip the photos that already have a row.

        Args:
            paths: All photos, in the order of the rows.

        Returns:
            The remaining photos.

        Raises:
            UsageError: if the rows are of another model or of other photos, or the file has anything but rows.
            WriteError: if a row that was cut off cannot be removed.
        """
        remaining = iter(paths)
        end = self._file.tell()  # of the last whole row; at first, of the header
        for record in self._records():
            row = self._format.read(record)
            if row is None:
                raise self._refusal("holds a row in another format")
            if row.model != self._format.model:
                models = f"{row.model}, the model now is {self._format.model}"
                raise self._refusal(f"holds predictions of another model ({models})")
            path = next(remaining, None)
            if path is None or escape_undecodable(path) != row.path:
                now = "there is none" if path is None else f"it is {escape_undecodable(path)}"
                difference = f"photo {self.num_existing + 1} was {row.path}, now {now}"
                raise self._refusal(f"was started with different photos: {difference}")
            self.num_existing += 1
            self.labels[row.label] += 1
            end += len(record)
        with wrap_write_errors(self.path):
            self._file.truncate(end)  # removes a row that was cut off
        return remaining

    def write(self, result: Prediction | Failure) -> None:
        """Append a row.

        Raises:
            WriteError: if the disk is full. Running the same command again then resumes.
        """
        self.labels[FAILED if isinstance(result, Failure) else result.label] += 1
        self._is_unpacked_copy = False
        with wrap_write_errors(self.path):
            self._file.write(self._format.write(result))
            if time.monotonic() - self._saved_at > _SECONDS_UNSAVED:
                self._save()

    def finish(self) -> None:
        """Call this after the last row: a `.parquet` is made from the rows now.

        Raises:
            WriteError: if the disk is full.
        """
        with wrap_write_errors(self.path):
            self._save()
        if self._is_parquet:
            from dogvscat.bundle.predict.parquet import write_parquet

            # One row at a time: a table of millions of rows does not fit into memory.
            self._file.seek(0)
            rows = (row for record in self._file if (row := self._format.read(record)))
            write_parquet(self.path, rows, self._format.class_names)
            self._rows_file.unlink(missing_ok=True)

    def _check_header(self) -> None:
        """Read the header, or write it into an empty file. Afterwards the position in the file is behind the header."""
        self._file.seek(0)
        header = self._format.header
        received = self._file.read(len(header))
        # A new file, or one whose command was killed while it wrote the header.
        if header.startswith(received) and len(received) < len(header):
            with wrap_write_errors(self.path):
                self._file.truncate(0)
                self._file.write(header)
                self._save()
                flush_folder(self.path.parent)
        elif received != header:
            raise self._refusal(f"starts with {received[:60]!r}, expected {header[:60]!r}")

    def _records(self) -> Iterator[bytes]:
        """Each whole row, as bytes; a row that was cut off at the end of the file is left out."""
        record = b""
        for line in self._file:
            # A line may be only a part of a row: a file name in a CSV may contain line ends.
            record += line
            if line.endswith(b"\n") and self._format.is_whole(record):
                yield record
                record = b""
            elif len(record) > _LONGEST_ROW:
                raise self._refusal("holds a row that does not end")

    def _save(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._saved_at = time.monotonic()

    def _unpack(self) -> None:
        """Turn a finished Parquet into JSON lines again, so that photos can be added."""
        from dogvscat.bundle.predict.parquet import read_parquet

        rows: Iterable[Row] | None = read_parquet(self.path, self._format.class_names)
        if rows is None:
            raise self._refusal("is not a table of results")
        with atomic_file(self._rows_file) as file:
            for row in rows:
                file.write(f"{json_line(row.document)}\n".encode())

    def _refusal(self, reason: str) -> UsageError:
        hint = "Choose another --out, or remove the file to start again."
        return UsageError(f"{self._rows_file} {reason}", hint=hint)
