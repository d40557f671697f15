"""The runs in a folder, a row each: what was trained, how far it came, how good it is."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from dogvscat.errors import DataError, DogvscatError, UsageError
from dogvscat.exploring.training_job import CellResult, num_validation, read_result
from dogvscat.learning.run.folder import Run
from dogvscat.settings import nearest


@dataclass(frozen=True)
class RunSummary:
    """One run folder in a row."""

    folder: str
    recipe: str
    seed: int
    started: str
    """UTC, ISO 8601."""
    epochs: int
    """Finished."""
    minutes: float
    validation_accuracy: float | None
    """Between 0 and 1; of the finished run, or of the last epoch where it is not finished."""
    num_validation: int | None
    """Pictures that the finished run was judged on."""
    training_accuracy: float | None
    """Of the finished run, in inference mode; None where it is not finished."""
    finished: bool
    data_digest: str
    commit: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


COLUMNS = tuple(RunSummary.__dataclass_fields__)
HEADERS = {"run": "folder", "validation": "validation_accuracy", "n": "num_validation", "training": "training_accuracy"}
"""Headers of the table that people see, where a column is called otherwise in JSON."""


def find_runs(folder: Path) -> tuple[list[RunSummary], list[DogvscatError]]:
    """Every run folder below a folder, by path, and what is wrong with those that cannot be read.

    Raises:
        DataError: if there is no such folder.
    """
    if not folder.is_dir():
        hint = "`dogvscat train PHOTOS` makes runs/."
        raise DataError(f"there is no folder {folder}, expected one with run folders in it", hint=hint)
    found, broken = [], []
    for path, folders, files in os.walk(folder):
        folders.sort()
        if "config.toml" in files and "environment.json" in files:
            folders.clear()  # a run holds no other runs
            try:
                found.append(summarise(Run(Path(path))))
            except DogvscatError as error:
                broken.append(error)
    return found, broken


def summarise(run: Run) -> RunSummary:
    """A run in a row.

    Raises:
        ModelError: if it cannot be read.
    """
    config, environment = run.load_config(), run.load_environment()
    history = run.load_history()
    metrics = run.load_metrics()
    accuracies = {split: result["figures"]["accuracy"]["value"] for split, result in metrics.items() if "n" in result}
    watched = history[-1]["val_accuracy"] if history else None
    cell = read_result(run.folder)
    num_judged = metrics.get("validation", {}).get("n")
    if isinstance(cell, CellResult):
        accuracies = {"validation": cell.validation_accuracy, "train": cell.training_accuracy}
        num_judged = num_validation(run.folder)
    return RunSummary(
        folder=str(run.folder),
        recipe=config.recipe,
        seed=config.training.seed,
        started=str(environment.get("started", "")),
        epochs=len(history),
        minutes=round(sum(row["seconds"] for row in history) / 60, 2),
        validation_accuracy=accuracies.get("validation", watched),
        num_validation=num_judged,
        training_accuracy=accuracies.get("train"),
        finished=bool(accuracies),
        data_digest=environment["data_digest"],
        commit=environment["commit"],
    )


def sort_runs(runs: Sequence[RunSummary], column: str, descending: bool) -> list[RunSummary]:
    """Rows by one column, called as in JSON or as in the table; those without a value come last.

    Raises:
        UsageError: if there is no such column.
    """
    column = HEADERS.get(column, column)
    if column not in COLUMNS:
        hint = f"Columns: {', '.join([*HEADERS, *COLUMNS])}." + nearest(column, [*HEADERS, *COLUMNS])
        raise UsageError(f"there is no column {column!r} to sort by", hint=hint)
    known = [run for run in runs if getattr(run, column) is not None]
    unknown = [run for run in runs if getattr(run, column) is None]
    return sorted(known, key=attrgetter(column), reverse=descending) + unknown
