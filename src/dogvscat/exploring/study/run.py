"""Run a study: training after training, the most informative first, until all are finished or the time is used up."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dogvscat.errors import DivergedError, Interrupted, UsageError
from dogvscat.exploring.cell_result import CellResult, Diverged
from dogvscat.exploring.execution.job import Executor, Job
from dogvscat.exploring.study.cells import CELLS_FOLDER, Study, cell_title, read_study
from dogvscat.exploring.study.estimate import BaseTiming, StudyTime, time_base
from dogvscat.exploring.study.plan import BASE, PlannedCell, treatment_name
from dogvscat.exploring.study.schedule import most_informative
from dogvscat.exploring.study.table import STUDY_FILE, refuse_dropped_rows, write_table
from dogvscat.exploring.training_job import (
    cell_threads,
    earlier_precision,
    open_dataset,
    refuse_other_photos,
    refuse_too_few_photos,
    report_layout,
    run_cell,
    split_photos,
)
from dogvscat.learning.engine import ComputeSettings, open_engine
from dogvscat.locks import exclusive
from dogvscat.stderr import Reporter
from dogvscat.text import format_duration, pluralize


def without_oversized(planned: Sequence[PlannedCell], photos: Path, report: Reporter) -> list[PlannedCell]:
    """The cells for which there are enough training photos.

    Raises:
        DataError: if there are not enough for the base.
        DogvscatError: as `make_manifest`, if the photos cannot be used.
    """
    base = planned[0].config
    available = refuse_too_few_photos(photos, base, base.data.train_subset, "the base of the study needs")
    report_layout(photos, base, report)
    feasible = [cell for cell in planned if cell.config.data.train_subset <= available]
    for treatment in dict.fromkeys(cell.treatment for cell in planned if cell not in feasible):
        name = treatment_name(treatment.setting, treatment.value)
        report(f"{name} is left out: there are only {available:,} training photos")
    return feasible


def run_study(
    photos: Path,
    planned: Sequence[PlannedCell],
    folder: Path,
    budget: float | None,
    report: Reporter,
    executor: Executor,
) -> Study:
    """Train what is not finished yet.

    A training that diverges is not repeated: its treatment has no accuracy, and the study says so.

    Args:
        photos: A folder or zip with photos of two classes.
        planned: As from `plan_cells` and `without_oversized`.
        folder: Gets study.csv, which is written again after every training, and one folder per training below `cells/`.
        budget: Seconds to spend now, or None for as long as it takes. Trainings that run at its end are waited for.
        report: Gets a sentence for everything that happens.
        executor: Where the cells run.

    Raises:
        UsageError: if the budget is too short for one training, if study.csv has trainings that this study does not
            have, or if another command runs in the folder.
        DataError: if finished cells learned from different photos.
        DivergedError: if the base diverges with every seed: then there is nothing to compare with.
        Interrupted: on Ctrl-C; finished cells are kept and the same call resumes.
        ClusterError: if machines of a cluster keep failing.
        DogvscatError: as `train` does, for the cell at fault.
    """
    start = time.monotonic()
    with exclusive(folder):
        folders = [folder / CELLS_FOLDER / cell.name for cell in planned]
        refuse_other_photos(split_photos(photos, planned[0].config), folders)
        refuse_dropped_rows(planned, folder / STUDY_FILE, folder / CELLS_FOLDER)
        study = read_study(planned, folder)
        _refuse_diverged_base(study)
        if study.remaining:
            dataset = open_dataset(photos, planned[0].config)  # here once, before workers need it at the same time
            compute = _shared_compute(planned, folders)
            timing = time_base(dataset, planned[0], folders[0], compute)
            progress = _StudyInProgress(photos, folder, budget, report, executor, study, timing, compute, start)
            while True:
                while progress.start_next():  # fill all slots before waiting
                    pass
                if not progress.running:
                    break
                progress.finish_next()
            study = progress.study
        write_table(folder / STUDY_FILE, study)
    return study


@dataclass
class _StudyInProgress:
    """A study while its cells run."""

    photos: Path
    folder: Path
    budget: float | None
    report: Reporter
    executor: Executor
    study: Study
    """With what was finished when `finish_next` was last called."""
    timing: BaseTiming
    compute: ComputeSettings
    start_time: float
    """time.monotonic()"""
    running: dict[Path, PlannedCell] = field(default_factory=dict)
    """By the folder of each cell."""
    num_started: int = 0
    is_out_of_time: bool = False

    def start_next(self) -> bool:
        """Start the most informative cell for which there are time and a free slot; returns whether there was one."""
        cells = [] if self.is_out_of_time else most_informative(self.study, self.running.values())
        if not cells:
            return False
        slots = self.executor.slots(self.compute.threads)
        if len(self.running) >= slots:
            return False
        expected = StudyTime(self.timing, self.study.finished)
        # As if the slots were used evenly until the end.
        time_left = format_duration(expected.seconds(*self.study.remaining) / slots)
        if not self.num_started:
            num_remaining, num_planned = len(self.study.remaining), len(self.study.planned)
            self.report(f"{num_remaining} of {num_planned} trainings remain, which will take about {time_left}.")
        budget = math.inf if self.budget is None else self.budget
        # Not only the most informative one: a shorter training may still fit.
        affordable = [cell for cell in cells if self._spent_seconds() + expected.seconds(cell) <= budget]
        if not affordable:
            self._stop_starting(budget, shortest=min(map(expected.seconds, cells)))
            return False
        self._start(affordable[0], time_left)
        return True

    def finish_next(self) -> None:
        """Wait for a cell, report its result and write it into the table."""
        table = self.folder / STUDY_FILE
        try:
            job, result = self.executor.wait()
        except Interrupted as stop:
            stop.hint = "Run the same command again: finished trainings are kept, and the one that was running resumes."
            write_table(table, read_study(self.study.planned, self.folder))  # others may have finished meanwhile
            raise
        cell = self.running.pop(job.folder)
        title = f"{cell_title(cell)}: " if self.executor.distributed else ""  # otherwise the cell was named just before
        self.report(f"  {title}{_result_in_words(result)}")
        self.study = self._read_waited_for()
        write_table(table, self.study)
        _refuse_diverged_base(self.study)

    def _read_waited_for(self) -> Study:
        """What is finished, without the cells that are still in `running`.

        The result of such a cell may be in its folder already. If it counted now, the next trainings would be reported
        with wrong numbers.
        """
        running = {cell.name for cell in self.running.values()}
        study = read_study(self.study.planned, self.folder)
        return Study(
            study.planned,
            [cell for cell in study.finished if cell.plan.name not in running],
            [cell for cell in study.diverged if cell.plan.name not in running],
        )

    def _spent_seconds(self) -> float:
        return time.monotonic() - self.start_time

    def _stop_starting(self, budget: float, shortest: float) -> None:
        """Stop, as no cell fits into the budget: the shortest would take `shortest` seconds.

        Raises:
            UsageError: if the budget is too short for the first cell.
        """
        if not self.num_started:
            raise _too_short(budget, self._spent_seconds() + shortest)
        needed, remaining = format_duration(shortest), format_duration(budget - self._spent_seconds())
        self.report(
            f"Stopped: {remaining} of the budget remain, and the shortest remaining training would take {needed}."
        )
        self.is_out_of_time = True

    def _start(self, cell: PlannedCell, time_left: str) -> None:
        self.num_started += 1
        number = len(self.study.planned) - len(self.study.remaining) + len(self.running) + 1
        self.report(f"training {number} of {len(self.study.planned)}: {cell_title(cell)} (about {time_left} left)")
        cell_folder = self.folder / CELLS_FOLDER / cell.name
        work = partial(run_cell, self.photos, cell.config, cell_folder, self.compute)
        self.executor.start(Job(cell_title(cell), cell_folder, self.compute.threads, work))
        self.running[cell_folder] = cell


def _shared_compute(planned: Sequence[PlannedCell], folders: Sequence[Path]) -> ComputeSettings:
    """Threads and arithmetic for all cells that leave the arithmetic open.

    If the arithmetic were measured for each cell, bfloat16 and float32 might be compared with each other. So a resumed
    study uses the arithmetic of its earlier cells, on any machine.
    """
    threads = cell_threads(planned[0].config)
    undecided = [
        folder for cell, folder in zip(planned, folders, strict=True) if cell.config.training.precision == "auto"
    ]
    return open_engine(threads, (earlier_precision(undecided) or "auto") if undecided else "float32")


def _refuse_diverged_base(study: Study) -> None:
    diverged = [cell for cell in study.diverged if cell.plan.treatment.setting == BASE]
    # One seed of the base is enough to compare with; `remaining` has no cells of seeds with which the base diverged.
    if diverged and not study.base and not study.remaining:
        hint = "No change can be compared with this base: lower its training.learning_rate and choose another --out."
        raise DivergedError(f"{cell_title(diverged[0].plan)}: {diverged[0].reason}", hint=hint)


def _result_in_words(result: CellResult | Diverged) -> str:
    if isinstance(result, Diverged):
        return result.diverged
    accuracies = f"validation {result.validation_accuracy:.2%}, training {result.training_accuracy:.2%}"
    return f"{accuracies}, {pluralize(result.epochs, 'epoch')}, {result.seconds:.0f} s"


def _too_short(budget: float, needed: float) -> UsageError:
    cost = f"which takes about {format_duration(needed)}"
    message = f"a budget of {format_duration(budget)} is too short for one training, {cost}"
    return UsageError(message, hint=f"Give --budget {math.ceil(needed / 60)}m or more.")
