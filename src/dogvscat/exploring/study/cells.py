"""The cells of a study, finished or not, and the table of those that are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dogvscat import atomic
from dogvscat.exploring.study.effects import Effect, Outcome, measure_effects
from dogvscat.exploring.study.plan import BASE, PlannedCell, Treatment, treatment_name
from dogvscat.exploring.training_job import CellResult, Diverged, read_result

CELLS_FOLDER = "cells"
STUDY_FILE = "study.csv"
COLUMNS = ("setting", "value", "seed", "validation_accuracy", "training_accuracy", "seconds", "epochs", "cell")


@dataclass(frozen=True)
class FinishedCell:
    """A planned cell with what it found."""

    cell: PlannedCell
    result: CellResult

    @property
    def outcome(self) -> Outcome:
        """What the effects need."""
        return Outcome(self.result.validation_accuracy, self.result.training_accuracy, self.result.seconds)


@dataclass(frozen=True)
class DivergedCell:
    """A planned cell whose loss became infinite; `reason` says when."""

    cell: PlannedCell
    reason: str


@dataclass(frozen=True)
class Study:
    """The cells of a study in the order of the plan, finished or not."""

    planned: Sequence[PlannedCell]
    finished: Sequence[FinishedCell]
    diverged: Sequence[DivergedCell] = ()

    @property
    def left(self) -> list[PlannedCell]:
        """The cells that are still to be trained; none with a seed with which the base diverged."""
        done = {done.cell.name for done in self.finished} | {done.cell.name for done in self.diverged}
        baseless = {done.cell.seed for done in self.diverged if done.cell.treatment.setting == BASE}
        return [cell for cell in self.planned if cell.name not in done and cell.seed not in baseless]

    @property
    def base(self) -> list[FinishedCell]:
        """The base's finished cells, a seed each."""
        return [cell for cell in self.finished if cell.cell.treatment.setting == BASE]

    def of(self, treatment: Treatment) -> list[FinishedCell]:
        """A treatment's finished cells, a seed each."""
        return [cell for cell in self.finished if cell.cell.treatment == treatment]

    @property
    def treatments(self) -> list[Treatment]:
        """What is compared with the base, each once."""
        found = dict.fromkeys(cell.treatment for cell in self.planned)
        return [treatment for treatment in found if treatment.setting != BASE]

    def effects(self) -> list[Effect]:
        """Of every treatment with at least one finished cell whose seed the base has as well."""
        outcomes = {
            (treatment.setting, treatment.value): {cell.cell.seed: cell.outcome for cell in self.of(treatment)}
            for treatment in self.treatments
        }
        return measure_effects({cell.cell.seed: cell.outcome for cell in self.base}, outcomes)


def read_study(planned: Sequence[PlannedCell], folder: Path) -> Study:
    """The cells that are finished already.

    Raises:
        ModelError: if a finished cell is damaged.
    """
    results = [(cell, read_result(folder / CELLS_FOLDER / cell.name)) for cell in planned]
    finished = [FinishedCell(cell, result) for cell, result in results if isinstance(result, CellResult)]
    diverged = [DivergedCell(cell, result.diverged) for cell, result in results if isinstance(result, Diverged)]
    return Study(planned, finished, diverged)


def write_table(file: Path, study: Study) -> None:
    """study.csv: a row a finished cell, in the order of the plan."""
    rows = (
        (
            done.cell.treatment.setting,
            done.cell.treatment.value,
            done.cell.seed,
            done.result.validation_accuracy,
            done.result.training_accuracy,
            done.result.seconds,
            done.result.epochs,
            done.cell.name,
        )
        for done in study.finished
    )
    atomic.write_csv(file, COLUMNS, rows)


def in_words(cell: PlannedCell) -> str:
    """What a cell is, for people."""
    treatment = cell.treatment
    what = "the base" if treatment.setting == BASE else treatment_name(treatment.setting, treatment.value)
    return f"{what}, seed {cell.seed}"
