"""How long a study will take, by hand."""

import pytest

from dogvscat.exploring.cell_result import CellResult
from dogvscat.exploring.study.cells import FinishedCell
from dogvscat.exploring.study.estimate import BaseTiming, StudyTime
from dogvscat.exploring.study.plan import StudyPlan, plan_cells
from dogvscat.text import format_duration

PLAN = StudyPlan.model_validate(
    {
        "recipe": "classic",
        "seeds": (1, 2),
        "base": {"data.image_size": 48, "training.epochs": 10, "data.train_subset": 1000},
        "settings": {"data.image_size": (96,), "data.train_subset": (500, 0), "training.epochs": (20,)},
    }
)
CELLS = {(cell.treatment.setting, cell.treatment.value, cell.seed): cell for cell in plan_cells(PLAN)}
BASE = CELLS["base", "", 1]
TIMING = BaseTiming(BASE.config, epoch_seconds=6.0, build_seconds=3.0, num_train=1000, num_usable=4000)


@pytest.mark.parametrize(
    ("setting", "value", "seconds"),
    [
        ("base", "", 60.0),  # ten epochs of six seconds
        ("data.image_size", "96", 240.0),  # four times the area
        ("data.train_subset", "500", 30.0),  # half of the photos
        ("data.train_subset", "0", 240.0),  # all of them: four times as many
        ("training.epochs", "20", 120.0),
    ],
)
def test_a_training_costs_what_its_epochs_photos_and_area_say(setting: str, value: str, seconds: float) -> None:
    assert TIMING.seconds(CELLS[setting, value, 1].config) == pytest.approx(seconds)


def test_what_is_finished_corrects_what_is_expected() -> None:
    around = 3.0 + 6.0 / 3  # building, and evaluating every photo once
    assert StudyTime(TIMING, []).seconds(BASE) == pytest.approx(60.0 + around)
    cells = {30.0: BASE, 20.0: CELLS["data.train_subset", "500", 1]}
    finished = [FinishedCell(cell, CellResult(0.8, 0.8, seconds, 1, [])) for seconds, cell in cells.items()]
    times = StudyTime(TIMING, finished)  # 50 seconds where 90 were predicted
    assert times.seconds(CELLS["base", "", 2]) == pytest.approx(30.0 + around)
    assert times.seconds(CELLS["training.epochs", "20", 1]) == pytest.approx(120.0 * 50 / 90 + around)
    both = [CELLS["base", "", 2], CELLS["training.epochs", "20", 1]]
    assert times.seconds(*both) == pytest.approx(sum(times.seconds(cell) for cell in both))


def test_times_in_words() -> None:
    assert [format_duration(seconds) for seconds in (0.2, 89, 91, 5399, 5400)] == [
        "1 s",
        "89 s",
        "2 min",
        "90 min",
        "1.5 h",
    ]
