"""A table of results as Parquet. The only file that imports pyarrow."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from dogvscat.atomic import atomic_file
from dogvscat.bundle.predict.result_rows import FileStamp, Row, flatten, result_columns
from dogvscat.labels import FAILED, NEITHER, ClassNames

_ROWS_AT_ONCE = 50_000


def write_parquet(path: Path, rows: Iterable[Row], class_names: ClassNames) -> None:
    """Write rows as a table, whole or not at all, in bounded memory.

    Raises:
        WriteError: if the disk is full.
    """
    rows, schema = iter(rows), _schema(class_names)
    with atomic_file(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while part := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            cells = [flatten(row.document, class_names) for row in part]
            writer.write_table(pyarrow.Table.from_pylist(cells, schema=schema))


def read_parquet(path: Path, class_names: ClassNames) -> Iterator[Row] | None:
    """The rows of a table, or None if it is not a table of results for these classes."""
    try:
        table = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError):
        return None
    if not table.schema_arrow.equals(_schema(class_names)):
        return None
    return (_row(cells, class_names) for part in table.iter_batches(_ROWS_AT_ONCE) for cells in part.to_pylist())


def _row(cells: dict[str, Any], class_names: ClassNames) -> Row:
    path, label, model = str(cells["path"]), str(cells["label"]), str(cells["model"])
    stamp = FileStamp(cells["bytes"], cells["modified"])
    ending = {"model": model, "bytes": stamp.num_bytes, "modified": stamp.modified}
    if cells["error"] is not None:  # a failure: it has no label and no probabilities
        error = {"code": cells["error"], "message": cells["message"]}
        return Row(path, FAILED, model, stamp, {"path": path, "error": error, **ending})
    probabilities = {name: cells[f"probability_{name}"] for name in class_names}
    neither = {} if cells[NEITHER] is None else {NEITHER: cells[NEITHER]}
    answer = {"path": path, "label": label, "reason": cells["reason"], "probabilities": probabilities}
    return Row(path, label, model, stamp, {**answer, **neither, **ending})


def _schema(class_names: ClassNames) -> pyarrow.Schema:
    types = {**{f"probability_{name}": pyarrow.float64() for name in class_names}, NEITHER: pyarrow.float64()}
    types["bytes"] = pyarrow.int64()
    return pyarrow.schema([(column, types.get(column, pyarrow.string())) for column in result_columns(class_names)])
