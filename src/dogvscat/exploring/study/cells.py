"""The cells of a study, finished or not, and the effects that follow from those that are finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dogvscat.exploring.cell_result import CellResult, Diverged, read_result
from dogvscat.exploring.effects import Effect, Outcome, measure_effects
from dogvscat.exploring.study.plan import BASE, PlannedCell, Treatment, treatment_name

CELLS_FOLDER = "cells"


@dataclass(frozen=True)
class FinishedCell:
    """A planned cell with its result."""

    plan: PlannedCell
    result: CellResult

    @property
    def outcome(self) -> Outcome:
        """What the effects need."""
        return Outcome(self.result.validation_accuracy, self.result.training_accuracy, self.result.seconds)


@dataclass(frozen=True)
class DivergedCell:
    """A planned cell whose loss became infinite or NaN; `reason` says when."""

    plan: PlannedCell
    reason: str


@dataclass(frozen=True)
class Study:
    """The cells of a study in the order of the plan, finished or not."""

    planned: Sequence[PlannedCell]
    finished: Sequence[FinishedCell]
    diverged: Sequence[DivergedCell] = ()

    @property
    def remaining(self) -> list[PlannedCell]:
        """The cells that are still to be trained. Cells with a seed with which the base diverged are left out."""
        ended = {cell.plan.name for cell in self.finished} | {cell.plan.name for cell in self.diverged}
        # An effect is a difference to the base with the same seed: without that base, a cell would show nothing.
        baseless = {cell.plan.seed for cell in self.diverged if cell.plan.treatment.setting == BASE}
        return [cell for cell in self.planned if cell.name not in ended and cell.seed not in baseless]

    @property
    def base(self) -> list[FinishedCell]:
        """The base's finished cells, one per seed."""
        return [cell for cell in self.finished if cell.plan.treatment.setting == BASE]

    def finished_with(self, treatment: Treatment) -> list[FinishedCell]:
        """A treatment's finished cells, one per seed."""
        return [cell for cell in self.finished if cell.plan.treatment == treatment]

    @property
    def treatments(self) -> list[Treatment]:
        """What is compared with the base, each once."""
        treatments = dict.fromkeys(cell.treatment for cell in self.planned)
        return [treatment for treatment in treatments if treatment.setting != BASE]

    def effects(self) -> list[Effect]:
        """The effect of every treatment with at least one finished cell whose seed the base has as well."""
        outcomes = {
            (treatment.setting, treatment.value): {
                cell.plan.seed: cell.outcome for cell in self.finished_with(treatment)
            }
            for treatment in self.treatments
        }
        return measure_effects({cell.plan.seed: cell.outcome for cell in self.base}, outcomes)


def read_study(planned: Sequence[PlannedCell], folder: Path) -> Study:
    """The study as far as its cells are finished.

    Raises:
        ModelError: if a finished cell is damaged.
    """
    results = [(cell, read_result(folder / CELLS_FOLDER / cell.name)) for cell in planned]
    finished = [FinishedCell(cell, result) for cell, result in results if isinstance(result, CellResult)]
    diverged = [DivergedCell(cell, result.diverged) for cell, result in results if isinstance(result, Diverged)]
    return Study(planned, finished, diverged)


def cell_title(cell: PlannedCell) -> str:
    """What a cell trains, for people: `network.dropout = 0.0, seed 1`."""
    treatment = cell.treatment
    changed = "the base" if treatment.setting == BASE else treatment_name(treatment.setting, treatment.value)
    return f"{changed}, seed {cell.seed}"
