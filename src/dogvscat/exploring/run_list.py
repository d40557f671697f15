"""The runs in a folder, one row each: what was trained, how many epochs are finished, how accurate it is."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dogvscat.errors import DataError, DogvscatError, ModelError, UsageError
from dogvscat.exploring.cell_result import CellResult, read_result, read_validation
from dogvscat.judging.decision import is_at_chance
from dogvscat.judging.intervals import MetricValue, wilson
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
    validation_low: float | None
    """Ends of the 95% interval of a finished run's accuracy."""
    validation_high: float | None
    num_validation: int | None
    """Validation photos that the finished run was evaluated on."""
    at_chance: bool
    """Whether the finished run is no better than guessing."""
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


@dataclass(frozen=True)
class DamagedRun:
    """A run folder that cannot be read."""

    folder: str
    error: DogvscatError

    def to_dict(self) -> dict[str, str]:
        """JSON values."""
        return {"folder": self.folder, "error": self.error.code, "message": self.error.message}


_OF_A_RUN = {"config.toml", "environment.json", "manifest.csv", "history.csv"}
"""A folder with at least two of these files is a run folder, perhaps a damaged one."""
COLUMNS = tuple(RunSummary.__dataclass_fields__)
HEADERS = {"run": "folder", "validation": "validation_accuracy", "n": "num_validation", "training": "training_accuracy"}
"""Headers of the printed table, where a column has another name in JSON."""


def find_runs(folder: Path) -> tuple[list[RunSummary], list[DamagedRun]]:
    """Every run folder below a folder, by path, and those that cannot be read. A training that was killed before its
    first step is left out.

    Raises:
        DataError: if there is no such folder.
    """
    if not folder.is_dir():
        hint = "`dogvscat train PHOTOS` creates runs/."
        raise DataError(f"there is no folder {folder}, expected one with run folders in it", hint=hint)
    runs, damaged = [], []
    for path, folders, files in os.walk(folder):
        folders.sort()
        run = Run(Path(path))
        if len(_OF_A_RUN.intersection(files)) > 1 and not run.is_unstarted():
            folders.clear()  # there are no runs inside a run
            try:
                runs.append(summarize(run))
            except DogvscatError as error:
                damaged.append(DamagedRun(path, error))
    return runs, damaged


def summarize(run: Run) -> RunSummary:
    """A run as a row of the table.

    Raises:
        ModelError: if it cannot be read.
    """
    config, environment = run.load_started_config(), run.load_environment()
    history = run.load_history()
    figures = _read_figures(run)
    if figures and not history:
        raise ModelError(f"{run.history_file} is missing or empty, though the run is finished")
    last_accuracy = history[-1]["val_accuracy"] if history else None
    validation = figures.validation if figures else MetricValue(last_accuracy, None, None, 0, "none")
    return RunSummary(
        folder=str(run.folder),
        recipe=config.recipe,
        seed=config.training.seed,
        started=str(environment.get("started", "")),
        epochs=len(history),
        minutes=round(sum(row["seconds"] for row in history) / 60, 2),
        validation_accuracy=validation.value,
        validation_low=validation.low,
        validation_high=validation.high,
        num_validation=validation.n or None,
        at_chance=figures is not None and is_at_chance(validation.low, figures.majority_share),
        training_accuracy=figures.training_accuracy if figures else None,
        finished=figures is not None,
        drawn_sample=bool(environment["drawn_sample"]),
        data_digest=environment["data_digest"],
        commit=environment["commit"],
    )


class _Figures(NamedTuple):
    """The accuracies of a finished run."""

    validation: MetricValue
    training_accuracy: float
    majority_share: float
    """Share of the majority class among the validation photos."""


def _read_figures(run: Run) -> _Figures | None:
    """None if the run is not finished."""
    cell = read_result(run.folder)  # a training of a study or a search has no metrics.json
    if isinstance(cell, CellResult):
        y_true, y_pred = read_validation(run.folder)
        majority_share = max(np.mean(y_true), 1 - np.mean(y_true))
        correct = wilson(int(np.sum(y_true == y_pred)), len(y_true))
        return _Figures(correct, cell.training_accuracy, float(majority_share))
    metrics = run.load_metrics()
    if not metrics:
        return None
    accuracy, majority = (metrics["validation"]["figures"][name] for name in ("accuracy", "majority_baseline"))
    validation = MetricValue(**accuracy)
    return _Figures(validation, metrics["train"]["figures"]["accuracy"]["value"], majority["value"])


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
