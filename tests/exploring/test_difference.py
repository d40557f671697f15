"""Paired comparison against numbers worked out by hand, and against the normal approximation."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dogvscat.exploring.comparison.difference import headline, in_a_sentence, paired_difference


def answers(both: int, only_first: int, only_second: int, none: int) -> tuple[np.ndarray, np.ndarray]:
    """Two runs' right answers, bool [1, N] each, with these counts of agreement and disagreement."""
    first = [True] * (both + only_first) + [False] * (only_second + none)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * none
    return np.array([first]), np.array([second])


def test_exact_mcnemar_by_hand() -> None:
    # of ten disagreements one or none goes the first's way: 2 * (1 + 10) / 2 ** 10
    difference = paired_difference(*answers(80, 1, 9, 10))
    assert (difference.only_first, difference.only_second) == (1, 9)
    assert difference.p_value == pytest.approx(22 / 1024)
    assert headline("a", "b", difference) == "b is better, by 8.0 points."
    assert difference.accuracy.value == pytest.approx(0.08)
    assert difference.clear


def test_the_interval_is_that_of_paired_shares() -> None:
    difference = paired_difference(*answers(1800, 40, 80, 80))
    disagreeing, value = 120 / 2000, 40 / 2000
    half = 1.96 * np.sqrt((disagreeing - value**2) / 2000)
    assert difference.accuracy.low == pytest.approx(value - half, abs=1e-3)
    assert difference.accuracy.high == pytest.approx(value + half, abs=1e-3)


def test_equal_runs_cannot_be_told_apart() -> None:
    difference = paired_difference(*answers(90, 0, 0, 10))
    assert difference.p_value == 1.0
    assert not difference.clear
    assert headline("a", "b", difference) == "a and b cannot be told apart on 100 pictures."
    assert in_a_sentence("a", "b", difference) == "a and b give right answers to the very same of 100 pictures."


def test_a_difference_that_is_luck_says_how_many_pictures_would_show_it() -> None:
    difference = paired_difference(*answers(900, 10, 14, 76))
    assert not difference.clear
    assert difference.pictures_needed() == pytest.approx((1.96 + 0.84) ** 2 * (0.024 - 0.004**2) / 0.004**2, rel=0.01)
    sentence = in_a_sentence("a", "b", difference)
    assert sentence.startswith("b is right 0.40 points more often than a (95%: -0.")
    assert "on 1,000 pictures the two cannot be told apart." in sentence


def test_a_loss_says_which_way_its_interval_points() -> None:
    sentence = in_a_sentence("a", "b", paired_difference(*answers(900, 60, 10, 30)))
    assert sentence.startswith("b is right 5.00 points less often than a (-5.00, 95%: -6.")
    assert sentence.endswith("a is better on pictures like these 1,000.")


def test_few_disagreements_are_never_told_to_suffice() -> None:
    """Two to none of four: as uneven a count is clear from six to none on, which twelve pictures would show."""
    difference = paired_difference(*answers(1, 0, 2, 1))
    assert difference.pictures_needed() == 12
    assert binomtest(5, 5).pvalue > 0.05 > binomtest(6, 6).pvalue


def test_next_to_no_difference_asks_for_no_absurd_number_of_pictures() -> None:
    difference = paired_difference(*answers(9000, 500, 501, 0))
    assert difference.pictures_needed() is None
    assert in_a_sentence("a", "b", difference).endswith("on 10,001 pictures the two cannot be told apart.")


def test_seeds_are_pooled_and_their_spread_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    hard = rng.uniform(size=2000)
    alike = np.stack([hard > 0.10] * 3)
    spread = np.stack([hard > 0.06, hard > 0.10, hard > 0.14])
    reference = np.stack([hard > 0.12] * 3)
    narrow, wide = paired_difference(reference, alike).accuracy, paired_difference(reference, spread).accuracy
    assert narrow.value == pytest.approx(alike.mean() - reference.mean())
    assert wide.value == pytest.approx(spread.mean() - reference.mean())
    variance = np.var(spread.mean(axis=0) - reference.mean(axis=0))
    assert paired_difference(reference, spread).variance == pytest.approx(variance)
    assert (wide.high or 0) - (wide.low or 0) > 2 * ((narrow.high or 0) - (narrow.low or 0))


def test_answers_about_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"received \(1, 5\) and \(1, 4\)"):
        paired_difference(np.ones((1, 5), bool), np.ones((1, 4), bool))
