"""The runs in a folder, one row each: what was trained, how many epochs are finished, how accurate it is."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from dogvscat.errors import DataError, DogvscatError, UsageError
from dogvscat.exploring.training_job import CellResult, count_validation, read_result
from dogvscat.learning.run import Run
from dogvscat.settings.errors import suggest


@dataclass(frozen=True)
class RunSummary:
    """One run folder as a row of the table."""

    folder: str
    recipe: str
    seed: int
    started: str
    """UTC, ISO 8601."""
    epochs: int
    """Finished epochs."""
    minutes: float
    validation_accuracy: float | None
    """Between 0 and 1: that of the finished run, or that of the last epoch if the run is not finished."""
    num_validation: int | None
    """Validation photos that the finished run was evaluated on."""
    training_accuracy: float | None
    """Accuracy of the finished run in inference mode; None if it is not finished."""
    finished: bool
    drawn_sample: bool
    """Whether it learned from drawings, not photographs."""
    data_digest: str
    commit: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


COLUMNS = tuple(RunSummary.__dataclass_fields__)
HEADERS = {"run": "folder", "validation": "validation_accuracy", "n": "num_validation", "training": "training_accuracy"}
"""Headers of the printed table, where a column has another name in JSON."""


def find_runs(folder: Path) -> tuple[list[RunSummary], list[DogvscatError]]:
    """Every run folder below a folder, by path, and the errors of those that cannot be read.

    Raises:
        DataError: if there is no such folder.
    """
    if not folder.is_dir():
        hint = "`dogvscat train PHOTOS` creates runs/."
        raise DataError(f"there is no folder {folder}, expected one with run folders in it", hint=hint)
    runs, errors = [], []
    for path, folders, files in os.walk(folder):
        folders.sort()
        # What every run folder has from its first step on, finished or not.
        if "config.toml" in files and "environment.json" in files:
            folders.clear()  # there are no runs inside a run
            try:
                runs.append(summarise(Run(Path(path))))
            except DogvscatError as error:
                errors.append(error)
    return runs, errors


def summarise(run: Run) -> RunSummary:
    """A run as a row of the table.

    Raises:
        ModelError: if it cannot be read.
    """
    config, environment = run.load_config(), run.load_environment()
    history = run.load_history()
    metrics = run.load_metrics()
    # Without "n" it is the result on photos that show neither class, which has no accuracy.
    accuracies = {split: result["figures"]["accuracy"]["value"] for split, result in metrics.items() if "n" in result}
    last_accuracy = history[-1]["val_accuracy"] if history else None
    num_validation = metrics.get("validation", {}).get("n")
    cell = read_result(run.folder)  # a training of a study or a search has no metrics.json
    if isinstance(cell, CellResult):
        accuracies = {"validation": cell.validation_accuracy, "train": cell.training_accuracy}
        num_validation = count_validation(run.folder)
    return RunSummary(
        folder=str(run.folder),
        recipe=config.recipe,
        seed=config.training.seed,
        started=str(environment.get("started", "")),
        epochs=len(history),
        minutes=round(sum(row["seconds"] for row in history) / 60, 2),
        validation_accuracy=accuracies.get("validation", last_accuracy),
        num_validation=num_validation,
        training_accuracy=accuracies.get("train"),
        finished=bool(accuracies),
        drawn_sample=bool(environment["drawn_sample"]),
        data_digest=environment["data_digest"],
        commit=environment["commit"],
    )


def sort_runs(runs: Sequence[RunSummary], column: str, descending: bool) -> list[RunSummary]:
    """The rows sorted by one column, named as in JSON or as in the table; rows without a value come last.

    Raises:
        UsageError: if there is no such column.
    """
    column = HEADERS.get(column, column)
    if column not in COLUMNS:
        hint = f"Columns: {', '.join([*HEADERS, *COLUMNS])}." + suggest(column, [*HEADERS, *COLUMNS])
        raise UsageError(f"there is no column {column!r} to sort by", hint=hint)
    # None cannot be compared with a number, and must stay last in a descending order too.
    with_value = [run for run in runs if getattr(run, column) is not None]
    without_value = [run for run in runs if getattr(run, column) is None]
    return sorted(with_value, key=attrgetter(column), reverse=descending) + without_value
