"""The value of a metric with its number of images and its 95% interval: Wilson for proportions, else bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

RESAMPLES = 2000
"""The 2.5th percentile then rests on 50 resamples; more would move it by less than a tenth of the interval."""

_Z_95 = NormalDist().inv_cdf(0.975)
_CHUNK_CELLS = 1_000_000  # resampled counts held at once: 8 MB each, small enough to stay in the processor's cache


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric, with its uncertainty. The fields are JSON values, never NaN.

    Args:
        value: The number, or None where it is undefined (the AUC of a single class, for example).
        low: Lower end of the 95% interval, or None.
        high: Upper end of the 95% interval, or None.
        n: Images the value rests on: for precision those predicted as the class, for recall those labeled so.
        method: How the interval was computed: `wilson`, `bootstrap` or `none`.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str


def undefined(n: int) -> MetricValue:
    """A metric that has no value on these images."""
    return MetricValue(None, None, None, n, "none")


def wilson(successes: int, n: int) -> MetricValue:
    """A proportion with Wilson's 95% score interval, which stays sensible near 0 and 1 and for few images.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    if n == 0:
        return undefined(0)
    proportion = successes / n
    spread = _Z_95**2 / n
    center = (proportion + spread / 2) / (1 + spread)
    reach = sqrt(spread * (proportion * (1 - proportion) + spread / 4)) / (1 + spread)
    # At 0 or n successes, rounding may push an end past the proportion itself.
    low, high = max(0.0, min(proportion, center - reach)), min(1.0, max(proportion, center + reach))
    return MetricValue(proportion, low, high, n, "wilson")


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, seed: int = 0, resamples: int = RESAMPLES
) -> np.ndarray:
    """The values of a statistic on samples of `n` images, drawn from the same `n` with replacement.

    Args:
        statistic: Takes float64 (rows, n), how often each image was drawn in each resample, and returns
            float64 (rows, k), NaN where undefined. It gets many resamples at once, because 2,000 calls that each
            sort 20,000 images would take longer than an epoch.
        n: Number of images, at least 1.
        seed: Seed of the draws.
        resamples: Number of samples.

    Returns:
        float64 (resamples, k).

    Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979.
    """
    rng = np.random.default_rng(seed)
    rows_at_once = max(1, _CHUNK_CELLS // n)
    parts = []
    for start in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - start)
        drawn = rng.integers(0, n, size=(rows, n), dtype=np.int32).astype(np.intp)  # indices of images
        # Row r counts in the range from r * n to (r + 1) * n, so that a single bincount counts all rows.
        drawn += np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        parts.append(statistic(counts.astype(np.float64)))
    return np.concatenate(parts)


def percentile_interval(value: float | None, resampled: np.ndarray, n: int) -> MetricValue:
    """A metric with the middle 95% of its resampled values as interval.

    Args:
        value: The metric on the images themselves, or None.
        resampled: float64 (resamples,); NaN, where the metric was undefined, is left out.
        n: Images the metric rests on.
    """
    defined = resampled[np.isfinite(resampled)]
    if value is None or not np.isfinite(value):
        return undefined(n)
    if not defined.size:
        return MetricValue(float(value), None, None, n, "none")
    low, high = np.percentile(defined, [2.5, 97.5])
    return MetricValue(float(value), float(low), float(high), n, "bootstrap")


def centered_interval(value: float, resampled: np.ndarray, n: int) -> MetricValue:
    """Like `percentile_interval`, for a metric of at least 0, but moved so that the interval is centered on the value.

    Noise can only raise a sum of absolute gaps, so that every resample of a well calibrated network has a larger
    calibration error than the images themselves, and the plain interval would exclude the very value it is for.
    Source: Kumar, Liang and Ma, Verified uncertainty calibration, NeurIPS 2019 (the bias of this estimate).
    """
    metric = percentile_interval(value, resampled - (resampled.mean() - value), n)
    low = max(0.0, min(value, metric.low or 0.0))
    return MetricValue(metric.value, low, max(value, metric.high or 0.0), n, metric.method)


def as_percent(metric: MetricValue) -> str:
    """A proportion as text: `88.6% (87.3-89.8)`."""
    return _with_interval(metric, lambda number: f"{100 * number:.1f}", "%")


def as_decimal(metric: MetricValue) -> str:
    """Any other metric as text: `0.953 (0.945-0.961)`."""
    return _with_interval(metric, lambda number: f"{number:.3f}", "")


def _with_interval(metric: MetricValue, write: Callable[[float], str], unit: str) -> str:
    if metric.value is None:
        return "undefined"
    if metric.low is None or metric.high is None:
        return f"{write(metric.value)}{unit}"
    return f"{write(metric.value)}{unit} ({write(metric.low)}-{write(metric.high)})"
