"""The scales of the parallel-coordinate picture."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from dogvscat.exploring.tuning_results import _height, _marks, draw_history, draw_parallel

RATE = FloatDistribution(1e-4, 1e-2, log=True)
UNITS = IntDistribution(4, 8, step=2)
SCHEDULE = CategoricalDistribution(['"one_cycle"', '"constant"', '"other"'])


def test_values_lie_where_their_scale_says() -> None:
    assert _height(1e-3, RATE) == pytest.approx(0.5)  # the middle of a logarithmic scale
    assert [_height(units, UNITS) for units in (4, 6, 8)] == pytest.approx([0.0, 0.5, 1.0])
    assert _height('"constant"', SCHEDULE) == 0.5  # choices keep the order of the space
    assert _marks(RATE) == [(0.0, "0.0001"), (1.0, "0.01")]
    assert _marks(SCHEDULE) == [(0.0, "one_cycle"), (0.5, "constant"), (1.0, "other")]
    assert _height(0.8, FloatDistribution(0.8, 0.8)) == 0.5  # one trial, or equal ones


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_trials_can_be_drawn(tmp_path: Path, count: int) -> None:
    scales = {"training.learning_rate": RATE, "network.dense_units": UNITS, "training.schedule": SCHEDULE}
    params = {"training.learning_rate": 1e-3, "network.dense_units": 6, "training.schedule": '"constant"'}
    trials = []
    for number in range(count):
        trial = optuna.create_trial(value=0.7, params=params, distributions=scales)
        trial.number = number
        trials.append(trial)
    draw_history(tmp_path / "history.png", trials, None)
    draw_parallel(tmp_path / "parallel.png", trials, sorted(scales), "drawn sample, not photographs")
    for name in ("history", "parallel"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
