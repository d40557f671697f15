from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import norm

from dogvscat.judging.intervals import MetricValue, as_decimal, as_percent, bootstrap, percentile_interval, wilson


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 9), (2214, 2500), (19_999, 20_000)]
)
def test_both_ends_of_wilson_solve_the_score_equation(successes, n):
    """At an end p, the share lies 1.96 standard errors sqrt(p (1 - p) / n) away from p."""
    share = wilson(successes, n)
    assert share.value == successes / n
    assert share.low is not None
    assert share.high is not None
    for end in (share.low, share.high):
        distance = norm.ppf(0.975) * np.sqrt(end * (1 - end) / n)
        assert abs(successes / n - end) == pytest.approx(distance, abs=1e-9)
    assert share.n == n
    assert share.method == "wilson"


@pytest.mark.parametrize(("successes", "n"), [(0, 3), (3, 3), (1, 10**6)])
def test_a_share_lies_in_its_interval_within_0_and_1(successes, n):
    metric = wilson(successes, n)
    assert metric.value is not None
    assert metric.low is not None
    assert metric.high is not None
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_a_share_of_nothing_is_undefined():
    assert wilson(0, 0) == MetricValue(None, None, None, 0, "none")
    assert asdict(wilson(0, 0)) == {"value": None, "low": None, "high": None, "n": 0, "method": "none"}


def test_each_resample_draws_as_many_images_as_there_are():
    drawn = bootstrap(lambda counts: np.column_stack([counts.sum(axis=1), counts.min(axis=1)]), 37, resamples=50)
    assert drawn.shape == (50, 2)
    assert (drawn[:, 0] == 37).all()
    assert (drawn[:, 1] == 0).any()


def test_bootstrap_of_a_mean_has_its_standard_error():
    values = np.random.default_rng(1).normal(5.0, 2.0, size=1000)
    means = bootstrap(lambda counts: counts @ values[:, None] / len(values), len(values), seed=3)[:, 0]
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)
    assert means.std() == pytest.approx(values.std() / np.sqrt(1000), rel=0.05)
    metric = percentile_interval(float(values.mean()), means, 1000)
    assert metric.low == pytest.approx(values.mean() - 1.96 * values.std() / np.sqrt(1000), abs=0.02)
    assert metric.high == pytest.approx(values.mean() + 1.96 * values.std() / np.sqrt(1000), abs=0.02)


def test_bootstrap_is_seeded_and_does_not_depend_on_how_many_rows_are_held_at_once(monkeypatch):
    def first_and_last(counts: np.ndarray) -> np.ndarray:
        return counts[:, [0, -1]]

    once = bootstrap(first_and_last, 1000, seed=5, resamples=40)
    assert np.array_equal(once, bootstrap(first_and_last, 1000, seed=5, resamples=40))
    assert not np.array_equal(once, bootstrap(first_and_last, 1000, seed=6, resamples=40))
    monkeypatch.setattr("dogvscat.judging.intervals._CHUNK_CELLS", 3000)
    assert np.array_equal(once, bootstrap(first_and_last, 1000, seed=5, resamples=40))


def test_resamples_without_a_value_are_left_out():
    resampled = np.array([np.nan, 0.2, 0.4, np.nan])
    metric = percentile_interval(0.3, resampled, 4)
    assert (metric.low, metric.high) == pytest.approx((0.205, 0.395))
    assert percentile_interval(None, resampled, 4).value is None
    assert percentile_interval(float("nan"), resampled, 4).value is None
    assert percentile_interval(0.3, np.full(3, np.nan), 4) == MetricValue(0.3, None, None, 4, "none")


def test_text_with_interval():
    assert as_percent(wilson(2214, 2500)) == "88.6% (87.3-89.7)"
    assert as_decimal(MetricValue(0.9534, 0.9451, 0.9611, 10, "bootstrap")) == "0.953 (0.945-0.961)"
    assert as_percent(wilson(0, 0)) == "undefined"
    assert as_decimal(MetricValue(0.5, None, None, 1, "none")) == "0.500"
