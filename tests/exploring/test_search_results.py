"""The scales of the parallel-coordinates figure, and the importance of settings."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from dogvscat.exploring.search.results import (
    _height,
    _marks,
    as_of_epoch,
    draw_history,
    draw_importance,
    draw_parallel,
    importance_title,
    importances,
    why_no_importances,
)

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
    scales = {"training.learning_rate": RATE, "training.epochs": UNITS, "training.schedule": SCHEDULE}
    params = {"training.learning_rate": 1e-3, "training.epochs": 6, "training.schedule": '"constant"'}
    trials = []
    for number in range(count):
        trial = optuna.create_trial(value=0.7, params=params, distributions=scales)
        trial.number = number
        trials.append(trial)
    draw_history(tmp_path / "history.png", trials, None)
    draw_parallel(tmp_path / "parallel.png", trials, sorted(scales), "pictures drawn by code, not photographs")
    draw_importance(tmp_path / "importance.png", trials, "all trials", None)
    for name in ("history", "parallel", "importance"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_what_all_the_finished_have_in_common_mattered_all_the_same() -> None:
    """Of 24 trials half have batch normalization, and only those were not pruned after epoch 2."""
    scales = {"augmentation.flip": CategoricalDistribution(["false", "true"]), "training.epochs": UNITS}
    trials = []
    for number in range(24):
        good = number % 2 == 1
        params = {"augmentation.flip": "true" if good else "false", "training.epochs": 4 + number % 3 * 2}
        early = {1: 0.5, 2: 0.65 if good else 0.55} | ({3: 0.7 + number / 1000} if good else {})
        state = TrialState.COMPLETE if good else TrialState.PRUNED
        value = early[3] if good else None
        trials.append(
            optuna.trial.create_trial(
                state=state, value=value, params=params, distributions=scales, intermediate_values=early
            )
        )
    finished = importances([trial for trial in trials if trial.state == TrialState.COMPLETE])
    assert finished is not None
    assert finished["augmentation.flip"] == 0.0
    compared = as_of_epoch(trials, 2)
    assert [trial.value for trial in compared] == [0.55, 0.65] * 12
    everyone = importances(compared)
    assert everyone is not None
    assert everyone["augmentation.flip"] > 0.95
    assert importances(trials[:3]) is None


def test_the_figure_says_when_trials_are_too_few() -> None:
    """A rule of thumb: ten trials per setting. With fewer, chance decides, and the shares still add up to 100%."""
    assert importance_title(60, 6) == "What mattered"
    assert importance_title(59, 6) == "What mattered (mostly chance: fewer than 60 trials)"
    assert why_no_importances(1) == "1 trial: too few to say, at least 5 are needed."
    assert why_no_importances(7) == "All trials have the same accuracy."
    scales: dict[str, BaseDistribution] = {f"training.{name}": FloatDistribution(0.0, 1.0) for name in "abcdef"}
    rng = np.random.default_rng(0)
    trials = [
        optuna.create_trial(
            value=float(rng.random()), params={name: float(rng.random()) for name in scales}, distributions=scales
        )
        for _ in range(12)
    ]
    shares = importances(trials)  # of accuracies that no setting has to do with
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares.values()) > 0.2
