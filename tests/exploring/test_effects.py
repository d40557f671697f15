"""Effects against SciPy's paired t-test and numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dogvscat.exploring.effects import Outcome, fit_power_law, holm, measure_effects
from dogvscat.exploring.study.figures import draw_scaling
from dogvscat.exploring.study.page import ScalingCurve, effects_in_sentences, power_law_in_words


def outcomes(accuracies: list[float], gap: float = 0.02) -> dict[int, Outcome]:
    return {seed: Outcome(value, value + gap, 10.0) for seed, value in enumerate(accuracies)}


def test_one_treatment_is_scipy_s_paired_t_test() -> None:
    base, treated = [0.80, 0.82, 0.81, 0.79], [0.83, 0.84, 0.85, 0.80]
    (effect,) = measure_effects(outcomes(base), {("network.dropout", "0.0"): outcomes(treated, gap=0.05)})
    expected = stats.ttest_rel(treated, base)
    interval = expected.confidence_interval()
    assert effect.difference == pytest.approx(np.mean(treated) - np.mean(base))
    assert effect.p_value == pytest.approx(expected.pvalue)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
    assert effect.generalization_gap == pytest.approx(0.05)
    assert effect.gap_change == pytest.approx(0.03)
    assert effect.gap_low is None  # the same for all seeds
    assert effect.verdict == "helped"


def test_over_fitting_is_compared_in_the_same_way() -> None:
    base = {seed: Outcome(0.8, 0.8 + gap, 1.0) for seed, gap in enumerate([0.02, 0.03, 0.01])}
    treated = {seed: Outcome(0.9, 0.9 + gap, 1.0) for seed, gap in enumerate([0.06, 0.05, 0.07])}
    (effect,) = measure_effects(base, {("network.dropout", "0.0"): treated})
    interval = stats.ttest_rel([0.06, 0.05, 0.07], [0.02, 0.03, 0.01]).confidence_interval()
    assert (effect.generalization_gap, effect.gap_change) == pytest.approx((0.06, 0.04))
    assert (effect.gap_low, effect.gap_high) == pytest.approx((interval.low, interval.high))


def test_the_spread_is_pooled_over_treatments() -> None:
    base = outcomes([0.80, 0.80, 0.80])
    treated = {("a", "1"): outcomes([0.81, 0.82, 0.83]), ("b", "1"): outcomes([0.80, 0.80, 0.80])}
    first, second = measure_effects(base, treated)
    # Minus the means of rows and columns, 1/3 and 2/3 points remain at the ends: 2 * (1 + 4 + 1) / 9 points squared,
    # over (3 - 1) * (3 - 1) degrees of freedom; a difference has twice that variance.
    pooled = 0.01 * np.sqrt(2 * (12 / 9) / 4)
    half = stats.t.ppf(0.975, 4) * pooled / np.sqrt(3)
    assert (first.low, first.high) == pytest.approx((0.02 - half, 0.02 + half))
    assert (second.low, second.high) == pytest.approx((-half, half))
    assert second.verdict == "no clear effect"


def test_intervals_cover_the_truth_as_often_as_they_claim() -> None:
    """Even with many treatments against one base of three seeds, whose luck is in every difference."""
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(300):
        by_seed = rng.normal(0.0, 0.01, 3)  # luck that all share does not change a difference
        accuracies = 0.8 + by_seed + rng.normal(0.0, 0.005, (21, 3))
        base, *treated = map(outcomes, accuracies.tolist())
        effects = measure_effects(base, {("a", str(number)): values for number, values in enumerate(treated)})
        covered += [effect.low <= 0.0 <= effect.high for effect in effects if effect.low is not None and effect.high]
    assert len(covered) == 6000
    assert 0.94 < np.mean(covered) < 0.96


def test_a_treatment_with_fewer_seeds_has_a_wider_interval() -> None:
    base = outcomes([0.80, 0.82, 0.81])
    treated = {("a", "1"): outcomes([0.81, 0.84, 0.80]), ("b", "1"): outcomes([0.82])}
    three, one = measure_effects(base, treated)
    assert one.num_seeds == 1
    ends = np.array([(one.low, one.high), (three.low, three.high)], dtype=np.float64)
    widths = ends[:, 1] - ends[:, 0]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(3))
    alone = measure_effects(base, {("a", "1"): treated["a", "1"]})[0]
    assert (three.low, three.high) == pytest.approx(
        (alone.low, alone.high)
    )  # a single training says nothing about the spread


def test_one_seed_alone_is_not_yet_known() -> None:
    (effect,) = measure_effects(outcomes([0.8]), {("a", "1"): outcomes([0.9])})
    assert (effect.low, effect.p_value, effect.verdict) == (None, None, "not yet known")
    assert measure_effects(outcomes([0.8]), {("a", "1"): {7: Outcome(0.9, 0.9, 1.0)}}) == []  # no seed in common


def test_differences_that_are_all_equal_leave_open_how_much_seeds_matter() -> None:
    base = outcomes([0.80, 0.82, 0.81])
    treated = {("a", "1"): outcomes([0.83, 0.85, 0.84]), ("b", "1"): outcomes([0.80, 0.82, 0.81])}
    for effect in measure_effects(base, treated):  # 0.85 - 0.82 is not quite 0.83 - 0.80 in binary
        assert (effect.low, effect.high, effect.p_value, effect.verdict) == (None, None, None, "not yet known")
    (sentences,) = effects_in_sentences(measure_effects(base, treated)).values()
    assert sentences[0].startswith("a = 1: +3.0 points, exactly equal with all 3 seeds; more seeds or ")


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04 become 3 * 0.01, 2 * 0.02, 0.04, none smaller than the one before
    assert holm([0.04, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04], nan_ok=True)
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_a_power_law_is_found_again() -> None:
    law = fit_power_law({n: 1 - 2.0 * n**-0.4 for n in (1000, 2000, 5000, 20000)})
    assert law is not None
    assert (law.factor, law.exponent) == pytest.approx((2.0, 0.4))
    assert law.accuracy(40000) == pytest.approx(1 - 2.0 * 40000**-0.4)
    assert fit_power_law({1000: 0.8, 2000: 0.9}) is None


def test_a_training_without_mistakes_can_be_drawn_and_is_said(tmp_path: Path) -> None:
    curve = ScalingCurve({100: [0.9], 200: [0.95], 400: [1.0]}, fit_power_law({100: 0.9, 200: 0.95, 400: 1.0}))
    draw_scaling(tmp_path / "pictures.png", curve.accuracies, curve.law, None)
    assert (tmp_path / "pictures.png").read_bytes().startswith(b"\x89PNG")
    assert power_law_in_words(curve).startswith("For one of the numbers of photos the error is 0")
