"""Run a study: cell after cell, in the order that tells most, until all are finished or the time is used up."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dogvscat.durations import in_time
from dogvscat.errors import DataError, DivergedError, Interrupted, UsageError
from dogvscat.exploring.execution.job import Executor, Job
from dogvscat.exploring.study.cells import CELLS_FOLDER, STUDY_FILE, Study, in_words, read_study, write_table
from dogvscat.exploring.study.estimate import BaseTiming, StudyTime, time_base
from dogvscat.exploring.study.plan import BASE, PlannedCell, treatment_name
from dogvscat.exploring.study.schedule import most_telling
from dogvscat.exploring.study.table import refuse_dropped_rows
from dogvscat.exploring.training_job import (
    CellResult,
    Diverged,
    begun_precision,
    cell_threads,
    look_at,
    open_dataset,
    refuse_other_photos,
    run_cell,
)
from dogvscat.learning.run.create import ComputeSettings
from dogvscat.locks import working_alone
from dogvscat.photos.splits import TRAIN
from dogvscat.stderr import Reporter
from dogvscat.text import counted


def without_too_large(planned: Sequence[PlannedCell], photos: Path, report: Reporter) -> list[PlannedCell]:
    """The cells that learn from no more photos than there are.

    Raises:
        DataError: if the base asks for more.
        DogvscatError: as `make_manifest`, if the photos cannot be used.
    """
    unlimited = planned[0].config.data.model_copy(update={"train_subset": 0})
    manifest = look_at(photos, planned[0].config.model_copy(update={"data": unlimited}))
    available = len(manifest.of_split(TRAIN))
    kept = [cell for cell in planned if cell.config.data.train_subset <= available]
    if planned[0] not in kept:
        asked = planned[0].config.data.train_subset
        message = f"the base of the study learns from {asked:,} photos, there are {available:,} to learn from"
        raise DataError(message, hint="Add --set data.train_subset=0 to learn from all there are.")
    for treatment in dict.fromkeys(cell.treatment for cell in planned if cell not in kept):
        name = treatment_name(treatment.setting, treatment.value)
        report(f"{name} is left out: there are {available:,} photos to learn from")
    return kept


def run_study(
    photos: Path,
    planned: Sequence[PlannedCell],
    folder: Path,
    budget: float | None,
    report: Reporter,
    executor: Executor,
) -> Study:
    """Train what is not finished yet.

    A change whose training diverges is finished with that: it has no accuracy, and the study says so.

    Args:
        photos: A folder or zip with photos of two classes.
        planned: As from `plan_cells`, without what `without_too_large` takes away.
        folder: Gets study.csv, written anew after every cell, and a folder a cell below `cells/`.
        budget: Seconds to spend now, or None for all it takes. Cells under way at its end are waited for.
        report: Told what happens.
        executor: Where the cells run.

    Raises:
        UsageError: if the budget does not suffice for one cell, if study.csv has cells that this study has not, or if
            another command is at work in the folder.
        DataError: if cells that are finished learned from other photos.
        DivergedError: if the base diverges with every seed: then there is nothing to compare with.
        Interrupted: on Ctrl-C; finished cells are kept and the same call goes on.
        ClusterError: if machines of a cluster keep failing.
        DogvscatError: as `train` does, for the cell that is at fault.
    """
    started = time.monotonic()
    with working_alone(folder):
        places = [folder / CELLS_FOLDER / cell.name for cell in planned]
        refuse_other_photos(look_at(photos, planned[0].config), places)
        refuse_dropped_rows(planned, folder / STUDY_FILE, folder / CELLS_FOLDER)
        study = read_study(planned, folder)
        _refuse_diverged_base(study)
        if study.left:
            timing = time_base(open_dataset(photos, planned[0].config), planned[0], places[0])
            compute = _computing(planned, places)
            running = _Running(photos, folder, budget, report, executor, study, timing, compute, started)
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
    report: Reporter
    executor: Executor
    study: Study
    timing: BaseTiming
    compute: ComputeSettings
    started: float
    under_way: dict[Path, PlannedCell] = field(default_factory=dict)
    """By the folder of each cell."""
    begun: int = 0
    out_of_time: bool = False

    def begins_another(self) -> bool:
        """Begin the cell that tells most, if there is one left, room for it and time; returns whether it was begun."""
        cells = [] if self.out_of_time else most_telling(self.study, self.under_way.values())
        if not cells:
            return False
        places = self.executor.places(self.compute.threads)
        if len(self.under_way) >= places:
            return False
        times = StudyTime(self.timing, self.study.finished)
        whole = in_time(times.of(*self.study.left) / places)
        if not self.begun:
            num_left, num_planned = len(self.study.left), len(self.study.planned)
            self.report(f"{num_left} of {num_planned} cells are to be trained, which takes about {whole}.")
        affordable = [cell for cell in cells if self._spent + times.of(cell) <= self._budget]
        if not affordable:
            self._out_of_time(min(map(times.of, cells)))
            return False
        self._begin(affordable[0], whole)
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
        self.report(f"  {which}{_result_in_words(result)}")
        self.study = self._settled()
        write_table(table, self.study)
        _refuse_diverged_base(self.study)

    def _settled(self) -> Study:
        """What is finished, without cells whose result lies there already but is still waited for."""
        under_way = {cell.name for cell in self.under_way.values()}
        study = read_study(self.study.planned, self.folder)
        return Study(
            study.planned,
            [done for done in study.finished if done.cell.name not in under_way],
            [done for done in study.diverged if done.cell.name not in under_way],
        )

    @property
    def _spent(self) -> float:
        return time.monotonic() - self.started

    @property
    def _budget(self) -> float:
        return math.inf if self.budget is None else self.budget

    def _out_of_time(self, expected: float) -> None:
        """No cell fits into the time that is left, of which the shortest takes so many seconds."""
        if not self.begun:
            raise _too_small(self._budget, self._spent, expected)
        left = in_time(self._budget - self._spent)
        self.report(f"The shortest cell left would take {in_time(expected)}, and there are {left}: stopped here.")
        self.out_of_time = True

    def _begin(self, cell: PlannedCell, whole: str) -> None:
        self.begun += 1
        number = len(self.study.planned) - len(self.study.left) + len(self.under_way) + 1
        self.report(f"cell {number} of {len(self.study.planned)}: {in_words(cell)} (about {whole} left)")
        place = self.folder / CELLS_FOLDER / cell.name
        work = partial(run_cell, self.photos, cell.config, place, self.compute)
        self.executor.start(Job(in_words(cell), place, self.compute.threads, work))
        self.under_way[place] = cell


def _computing(planned: Sequence[PlannedCell], places: Sequence[Path]) -> ComputeSettings:
    """The same for all cells, in the precision of those of earlier calls; the backend must be prepared."""
    from dogvscat.learning.precision import faster_precision  # Keras, after the backend was prepared

    threads = cell_threads(planned[0].config)
    free = [place for cell, place in zip(planned, places, strict=True) if cell.config.training.precision == "auto"]
    return ComputeSettings(threads, begun_precision(free) or faster_precision()) if free else ComputeSettings(threads)


def _refuse_diverged_base(study: Study) -> None:
    diverged = [done for done in study.diverged if done.cell.treatment.setting == BASE]
    if diverged and not study.base and not study.left:
        hint = "Nothing can be compared with it: lower training.learning_rate in [base], and choose another --out."
        raise DivergedError(f"{in_words(diverged[0].cell)}: {diverged[0].reason}", hint=hint)


def _result_in_words(result: CellResult | Diverged) -> str:
    if isinstance(result, Diverged):
        return result.diverged
    accuracies = f"validation {result.validation_accuracy:.2%}, training {result.training_accuracy:.2%}"
    return f"{accuracies}, {counted(result.epochs, 'epoch')}, {result.seconds:.0f} s"


def _too_small(budget: float, spent: float, expected: float) -> UsageError:
    needed = spent + expected
    message = f"a budget of {in_time(budget)} does not suffice for one cell, which takes about {in_time(needed)}"
    return UsageError(message, hint=f"Give --budget {math.ceil(needed / 60)}m or more.")
