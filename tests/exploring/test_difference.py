"""Paired comparison against numbers worked out by hand, and against the normal approximation."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dogvscat.exploring.comparison.difference import difference_in_words, headline, paired_difference


def correctness(both: int, only_first: int, only_second: int, none: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether two runs classify each photo correctly, bool (1, num_photos) each, with these counts."""
    first = [True] * (both + only_first) + [False] * (only_second + none)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * none
    return np.array([first]), np.array([second])


def test_exact_mcnemar_by_hand() -> None:
    # of ten disagreements at most one favors the first: 2 * (1 + 10) / 2 ** 10
    difference = paired_difference(*correctness(80, 1, 9, 10))
    assert (difference.only_first, difference.only_second) == (1, 9)
    assert difference.p_value == pytest.approx(22 / 1024)
    assert headline("a", "b", difference) == "b is better, by 8.0 points."
    assert difference.accuracy.value == pytest.approx(0.08)
    assert difference.clear


def test_the_interval_is_that_of_paired_shares() -> None:
    difference = paired_difference(*correctness(1800, 40, 80, 80))
    disagreeing, value = 120 / 2000, 40 / 2000
    half = 1.96 * np.sqrt((disagreeing - value**2) / 2000)
    assert difference.accuracy.low == pytest.approx(value - half, abs=1e-3)
    assert difference.accuracy.high == pytest.approx(value + half, abs=1e-3)


def test_equal_runs_cannot_be_told_apart() -> None:
    difference = paired_difference(*correctness(90, 0, 0, 10))
    assert difference.p_value == 1.0
    assert not difference.clear
    assert headline("a", "b", difference) == "a and b cannot be told apart on 100 photos."
    assert (
        difference_in_words("a", "b", difference) == "Of 100 photos, a and b classify exactly the same ones correctly."
    )


def test_an_unclear_difference_says_how_many_photos_would_show_it() -> None:
    difference = paired_difference(*correctness(900, 10, 14, 76))
    assert not difference.clear
    assert difference.photos_needed() == pytest.approx((1.96 + 0.84) ** 2 * (0.024 - 0.004**2) / 0.004**2, rel=0.01)
    sentence = difference_in_words("a", "b", difference)
    assert sentence.startswith("b is correct 0.40 points more often than a (95%: -0.")
    assert "on 1,000 photos the two cannot be told apart." in sentence


def test_a_loss_says_which_way_its_interval_points() -> None:
    sentence = difference_in_words("a", "b", paired_difference(*correctness(900, 60, 10, 30)))
    assert sentence.startswith("b is correct 5.00 points less often than a (-5.00, 95%: -6.")
    assert sentence.endswith("a is better on photos like these 1,000.")


def test_few_disagreements_never_suffice() -> None:
    """Two to none on four photos: such a ratio becomes clear at six to none, which takes twelve photos."""
    difference = paired_difference(*correctness(1, 0, 2, 1))
    assert difference.photos_needed() == 12
    assert binomtest(5, 5).pvalue > 0.05 > binomtest(6, 6).pvalue


def test_a_tiny_difference_names_no_absurd_number_of_photos() -> None:
    difference = paired_difference(*correctness(9000, 500, 501, 0))
    assert difference.photos_needed() is None
    assert difference_in_words("a", "b", difference).endswith("on 10,001 photos the two cannot be told apart.")


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


def test_predictions_for_other_photos_are_refused() -> None:
    with pytest.raises(ValueError, match=r"received \(1, 5\) and \(1, 4\)"):
        paired_difference(np.ones((1, 5), bool), np.ones((1, 4), bool))
