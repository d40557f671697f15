"""Learning rates by hand."""

import pytest

from dogvscat.config import TrainingConfig
from dogvscat.learning.model.optimizers import learning_rate


def test_one_cycle_rises_to_the_largest_rate_and_falls_to_nothing() -> None:
    config = TrainingConfig(schedule="one_cycle", learning_rate=0.1, warmup_share=0.2)
    rates = [learning_rate(config, step, 100, 0) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 / 20)
    assert rates[19] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.1 * 40 / 80)
    assert rates[99] == pytest.approx(0.1 / 80)
    assert rates.index(max(rates)) in (19, 20)


def test_plateaus_reduce_the_rate() -> None:
    config = TrainingConfig(schedule="reduce_on_plateau", learning_rate=0.1, plateau_factor=0.3)
    assert [learning_rate(config, 5, 100, n) for n in range(3)] == pytest.approx([0.1, 0.03, 0.009])


def test_constant_is_constant() -> None:
    config = TrainingConfig(schedule="constant", learning_rate=0.1)
    assert {learning_rate(config, step, 100, 7) for step in range(100)} == {0.1}
