"""Predictions in a file, one row per photo, in the order of the photos. A killed command resumes where the file ends.

Rows are appended, and written through to the disk about once a second. On resuming, a row that was cut off is removed,
and photos that have a row are skipped. Each row names the model, so that predictions of two models cannot be mixed, and
size and time of the photo, so that another photo under the same name is predicted.

Rows of photos that come before the last row are first appended to a second file, and merged at the end.
"""

import heapq
import io
import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from dogvscat.atomic import atomic_file, flush_folder, wrap_write_errors
from dogvscat.bundle.predict.prediction import Failure, Prediction
from dogvscat.bundle.predict.result_matching import OtherPhotos, match_rows
from dogvscat.bundle.predict.result_rows import (
    RESULT_SUFFIXES,
    CsvRows,
    FileStamp,
    JsonRows,
    Row,
    RowFormat,
    file_stamp,
)
from dogvscat.errors import UsageError, WriteError
from dogvscat.labels import FAILED, ClassNames
from dogvscat.locks import try_lock
from dogvscat.text import json_line

_SECONDS_UNSAVED = 1.0
_LONGEST_ROW = 1024 * 1024
"""In bytes. A longer row without a line end was not written by this program."""


class ResultsFile:
    """A file of predictions that is being written; a context manager.

    A `.parquet` cannot be appended to: until `finish`, its rows are JSON lines in a second file next to it.

    Args:
        path: Ends with `.csv`, `.jsonl` or `.parquet`.
        class_names: In label order.
        model: Name of the bundle that predicts, such as `best@3f9c2ab81d04`.

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
        """Valid rows that the file had before."""
        self.num_changed = 0
        """Rows that are no longer valid, because their photo has changed since then."""
        self._is_parquet = path.suffix.lower() == ".parquet"
        self._rows_file = path.with_name(f"{path.name}.unfinished.jsonl") if self._is_parquet else path
        rows = CsvRows if path.suffix.lower() == ".csv" else JsonRows
        self._format: RowFormat = rows(class_names, model)
        self._inserted_path = path.with_name(f"{self._rows_file.name}.inserted")
        self._inserted: BinaryIO | None = None  # open while there are rows to insert
        self._insert_before: list[int] = []  # for each inserted row, the number of rows of the file before it
        self._end = 0  # of the last whole row, in bytes
        self._stamps: deque[FileStamp] = deque()  # of the photos that were handed out and have no row yet
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._is_unpacked_copy = self._is_parquet and path.exists() and not self._rows_file.exists()
            """Whether the file of JSON lines is only a copy of a finished Parquet, with nothing added yet."""
            if self._is_unpacked_copy:
                self._unpack()
            self._file = self._rows_file.open("a+b")
        self._saved_at = time.monotonic()  # seconds

    def __enter__(self) -> Self:
        try:
            self._lock()
            self._check_header()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(WriteError):  # on a full disk the rows stay in the second file, for the next command
            self._insert_rows()
        with wrap_write_errors(self.path), self._file:
            self._save(self._file)
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
        self._end = self._file.tell()
        with wrap_write_errors(self.path), self._open_inserted() as inserted:
            try:
                matching = match_rows(self._rows(self._file), self._rows(inserted), remaining)
            except OtherPhotos as difference:
                raise self._refusal(f"was started with different photos: {difference}") from None
            self._file.truncate(self._end)  # removes a row that was cut off
            if matching.num_changed or matching.insertions:
                self._merge(matching.kept, matching.insertions, inserted)
        self.num_existing, self.num_changed, self.labels = (
            matching.labels.total(),
            matching.num_changed,
            matching.labels,
        )
        with wrap_write_errors(self.path):
            self._inserted_path.unlink(missing_ok=True)
            if matching.new_photos:
                self._inserted, self._insert_before = self._inserted_path.open("w+b"), matching.new_positions
        return self._stamped(itertools.chain(matching.new_photos, remaining))

    def write(self, result: Prediction | Failure) -> None:
        """Append the row of the next photo that `resume` has returned.

        Raises:
            WriteError: if the disk is full. Running the same command again then resumes.
        """
        self.labels[FAILED if isinstance(result, Failure) else result.label] += 1
        self._is_unpacked_copy = False
        file = self._inserted or self._file
        with wrap_write_errors(self.path):
            file.write(self._format.write(result, self._stamps.popleft()))
            if time.monotonic() - self._saved_at > _SECONDS_UNSAVED:
                self._save(file)

    def finish(self) -> None:
        """Call this after the last row: a `.parquet` is made from the rows now.

        Raises:
            WriteError: if the disk is full.
        """
        self._insert_rows()
        with wrap_write_errors(self.path):
            self._save(self._file)
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
                self._save(self._file)
                flush_folder(self.path.parent)
        elif received != header:
            raise self._refusal(f"starts with {received[:60]!r}, expected {header[:60]!r}")

    def _stamped(self, paths: Iterable[str]) -> Iterator[str]:
        """The same paths. A photo is stamped before it is read, so that it is predicted again if it changes later."""
        for path in paths:
            self._stamps.append(file_stamp(path))
            yield path

    def _rows(self, file: BinaryIO) -> Iterator[Row]:
        """The rows of a file after its current position."""
        for record in self._records(file):
            row = self._format.read(record)
            if row is None:
                raise self._refusal("holds a row in another format")
            if _version_of(row.model) != _version_of(self._format.model):
                models = f"{row.model}, the model now is {self._format.model}"
                raise self._refusal(f"holds predictions of another model ({models})")
            if file is self._file:
                self._end += len(record)
            yield row

    def _open_inserted(self) -> BinaryIO:
        """The second file of a command that was killed, or an empty one."""
        return self._inserted_path.open("rb") if self._inserted_path.exists() else io.BytesIO()

    def _insert_rows(self) -> None:
        """Merge the second file into the first one."""
        if self._inserted is None:
            return
        with wrap_write_errors(self.path), self._inserted as inserted:
            self._inserted = None
            self._save(inserted)
            # Photos that follow the last row have no position of their own.
            insertions = itertools.chain(self._insert_before, itertools.repeat(self.num_existing))
            self._merge(itertools.repeat(1), insertions, inserted)
        self._inserted_path.unlink()

    def _merge(self, kept: Iterable[int], insertions: Iterable[int | None], inserted: BinaryIO) -> None:
        """Rewrite the file with the inserted rows in it; the arguments are as in `Matching`."""
        self._file.seek(len(self._format.header))
        inserted.seek(0)
        # Sorted by position; an inserted row comes before the row that had its position.
        rows = (
            (number, 1, record)
            for number, (is_kept, record) in enumerate(zip(kept, self._records(self._file), strict=False))
            if is_kept
        )
        new_rows = (
            (position, 0, record)
            for position, record in zip(insertions, self._records(inserted), strict=False)
            if position is not None
        )
        try:
            with atomic_file(self._rows_file) as target:
                target.write(self._format.header)
                for _, _, record in heapq.merge(rows, new_rows, key=itemgetter(0, 1)):
                    target.write(record)
                self._file.close()  # before the rename: Windows does not replace a file that is open
        finally:
            if self._file.closed:
                self._file = self._rows_file.open("a+b")
                self._lock()
        self._is_unpacked_copy = False

    def _lock(self) -> None:
        if not try_lock(self._file):
            raise UsageError(f"another process is writing to {self.path}", hint="Choose another --out.")

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        """Each whole row, as bytes; a row that was cut off at the end of the file is left out."""
        record = b""
        for line in file:
            # A line may be only a part of a row: a file name in a CSV may contain line ends.
            record += line
            if line.endswith(b"\n") and self._format.is_whole(record):
                yield record
                record = b""
            elif len(record) > _LONGEST_ROW:
                raise self._refusal("holds a row that does not end")

    def _save(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
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
        return UsageError(f"{self.path if self._is_unpacked_copy else self._rows_file} {reason}", hint=hint)


def _version_of(model: str) -> str:
    """The part of a bundle's name that its content determines; the other part is the name of its folder."""
    return model.rpartition("@")[2]
