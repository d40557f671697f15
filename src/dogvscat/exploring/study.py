"""Run a study: cell after cell, in the order that tells most, until all are finished or the time is used up."""

import math
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dogvscat import writing
from dogvscat.errors import Interrupted, UsageError
from dogvscat.exploring.cell import CellResult, cell_threads, read_result, run_cell
from dogvscat.exploring.effects import Effect, Outcome, measure_effects
from dogvscat.exploring.executor import Executor, Job, Say
from dogvscat.exploring.study_plan import BASE, PlannedCell, Treatment
from dogvscat.exploring.study_table import refuse_dropped_rows
from dogvscat.exploring.study_time import BaseTiming, FinishedTraining, StudyTime, in_time, time_base
from dogvscat.printable import counted

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
class Study:
    """The cells of a study in the order of the plan, finished or not."""

    planned: Sequence[PlannedCell]
    finished: Sequence[FinishedCell]

    @property
    def left(self) -> list[PlannedCell]:
        """The cells that are not finished yet."""
        done = {cell.cell.name for cell in self.finished}
        return [cell for cell in self.planned if cell.name not in done]

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


def run_study(
    photos: Path, planned: Sequence[PlannedCell], folder: Path, budget: float | None, say: Say, executor: Executor
) -> Study:
    """Train what is not finished yet.

    Args:
        photos: A folder or zip with photos of two classes.
        planned: As from `plan_cells`.
        folder: Gets study.csv, written anew after every cell, and a folder a cell below `cells/`.
        budget: Seconds to spend now, or None for all it takes. Cells under way at its end are waited for.
        say: Told what happens.
        executor: Where the cells run.

    Raises:
        UsageError: if the budget does not suffice for one cell, or if study.csv has cells that this study has not.
        Interrupted: on Ctrl-C; finished cells are kept and the same call goes on.
        ClusterError: if machines of a cluster keep failing.
        DogvscatError: as `train` does, for the cell that is at fault.
    """
    started = time.monotonic()
    refuse_dropped_rows(planned, folder / STUDY_FILE, folder / CELLS_FOLDER)
    study = read_study(planned, folder)
    if study.left:
        timing = time_base(photos, planned[0], folder / CELLS_FOLDER / planned[0].name)
        running = _Running(photos, folder, budget, say, executor, study, timing, started)
        while True:
            while running.begins_another():
                pass
            if not running.under_way:
                break
            running.finish_one()
        study = running.study
    write_table(folder / STUDY_FILE, study)
    return study


@dataclass
class _Running:
    """A study under way."""

    photos: Path
    folder: Path
    budget: float | None
    say: Say
    executor: Executor
    study: Study
    timing: BaseTiming
    started: float
    under_way: dict[Path, PlannedCell] = field(default_factory=dict)
    """By the folder of each cell."""
    begun: int = 0
    out_of_time: bool = False

    def begins_another(self) -> bool:
        """Begin the cell that tells most, if there is one left, room for it and time; returns whether it was begun."""
        cell = None if self.out_of_time else _next_cell(self.study, self.under_way.values())
        if cell is None:
            return False
        places = self.executor.places(cell_threads(cell.config))
        if len(self.under_way) >= places:
            return False
        finished = [FinishedTraining(done.cell, done.result.seconds) for done in self.study.finished]
        times = StudyTime(self.timing, finished)
        whole = in_time(times.of(*self.study.left) / places)
        if not self.begun:
            num_left, num_planned = len(self.study.left), len(self.study.planned)
            self.say(f"{num_left} of {num_planned} cells are to be trained, which takes about {whole}.")
        if not self._in_budget(times.of(cell)):
            self.out_of_time = True
            return False
        self._begin(cell, whole)
        return True

    def finish_one(self) -> None:
        """Wait for a cell, tell of it and write it down."""
        table = self.folder / STUDY_FILE
        try:
            job, result = self.executor.wait()
        except Interrupted as stop:
            stop.hint = "Give the same command again: finished cells are kept, and the one under way goes on."
            write_table(table, read_study(self.study.planned, self.folder))
            raise
        cell = self.under_way.pop(job.folder)
        which = f"{in_words(cell)}: " if self.executor.spread else ""  # else it is the one just named
        self.say(
            f"  {which}validation {result.validation_accuracy:.2%}, training {result.training_accuracy:.2%}, "
            f"{counted(result.epochs, 'epoch')}, {result.seconds:.0f} s"
        )
        self.study = self._settled()
        write_table(table, self.study)

    def _settled(self) -> Study:
        """What is finished, without cells whose result lies there already but is still waited for."""
        under_way = {cell.name for cell in self.under_way.values()}
        study = read_study(self.study.planned, self.folder)
        return Study(study.planned, [done for done in study.finished if done.cell.name not in under_way])

    def _in_budget(self, expected: float) -> bool:
        spent = time.monotonic() - self.started
        if self.budget is None or spent + expected <= self.budget:
            return True
        if not self.begun:
            raise _too_small(self.budget, spent, expected)
        left = in_time(self.budget - spent)
        self.say(f"The next cell would take {in_time(expected)}, {left} are left: stopped here.")
        return False

    def _begin(self, cell: PlannedCell, whole: str) -> None:
        self.begun += 1
        number = len(self.study.finished) + len(self.under_way) + 1
        self.say(f"cell {number} of {len(self.study.planned)}: {in_words(cell)} (about {whole} left)")
        threads, place = cell_threads(cell.config), self.folder / CELLS_FOLDER / cell.name
        work = partial(run_cell, self.photos, cell.config, place, threads)
        self.executor.start(Job(in_words(cell), place, threads, work))
        self.under_way[place] = cell


def read_study(planned: Sequence[PlannedCell], folder: Path) -> Study:
    """The cells that are finished already.

    Raises:
        ModelError: if a finished cell is damaged.
    """
    results = ((cell, read_result(folder / CELLS_FOLDER / cell.name)) for cell in planned)
    return Study(planned, [FinishedCell(cell, result) for cell, result in results if result is not None])


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
    writing.write_csv(file, COLUMNS, rows)


def in_words(cell: PlannedCell) -> str:
    """What a cell is, for people."""
    treatment = cell.treatment
    what = "the base" if treatment.setting == BASE else f"{treatment.setting} = {treatment.value}"
    return f"{what}, seed {cell.seed}"


def _next_cell(study: Study, under_way: Collection[PlannedCell] = ()) -> PlannedCell | None:
    """The unfinished cell that tells most: every treatment once before any twice, then the treatment whose effect is
    least certain, in half widths of its interval from zero. The base with the same seed always goes before.

    Cells under way count as begun, and as if they came out as expected: their treatment's interval will be narrower by
    the square root of the seeds it then has; of a treatment that is tried for the first time nothing is expected.
    """
    begun = Counter(cell.treatment for cell in under_way)
    names = {cell.name for cell in under_way}
    left = [cell for cell in study.left if cell.name not in names]
    bases = {cell.seed: cell for cell in left if cell.treatment.setting == BASE}
    treated = [cell for cell in left if cell.treatment.setting != BASE]
    if not treated:
        return next(iter(bases.values()), None)
    effects = {(effect.setting, effect.value): effect for effect in study.effects()}

    def certainty(cell: PlannedCell) -> tuple[int, float]:
        effect = effects.get((cell.treatment.setting, cell.treatment.value))
        if effect is None:
            return (1, math.inf) if begun[cell.treatment] or study.of(cell.treatment) else (0, 0.0)
        half = (effect.high - effect.low) / 2 if effect.low is not None and effect.high is not None else 0.0
        narrower = math.sqrt(1 + begun[cell.treatment] / effect.num_seeds)
        return (1, abs(effect.difference) / half * narrower if half else 0.0)

    chosen = min(treated, key=certainty)
    return bases.get(chosen.seed, chosen)


def _too_small(budget: float, spent: float, expected: float) -> UsageError:
    needed = spent + expected
    message = f"a budget of {in_time(budget)} does not suffice for one cell, which takes about {in_time(needed)}"
    return UsageError(message, hint=f"Give --budget {math.ceil(needed / 60)}m or more.")
