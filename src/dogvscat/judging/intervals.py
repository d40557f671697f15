"""A figure is a value with the number of pictures behind it and a 95% interval: Wilson for shares, bootstrap else."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RESAMPLES = 2000
"""The 2.5th percentile then rests on 50 resamples; more would move it by less than a tenth of the interval."""

_Z_95 = 1.959963984540054  # the normal distribution's 97.5th percentile
_CHUNK_CELLS = 1_000_000  # resampled counts held at once: 8 MB each, small enough to stay near the processor


@dataclass(frozen=True)
class Figure:
    """One number about answers, with its uncertainty.

    Args:
        value: The number, or None where it is undefined (the AUC of a single class, for example).
        low: Lower end of the 95% interval, or None.
        high: Upper end of the 95% interval, or None.
        n: Pictures the number rests on: for precision those predicted so, for recall those of the class.
        method: How the interval was found: `wilson`, `bootstrap` or `none`.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """The figure as JSON values; never NaN."""
        return asdict(self)


def undefined(n: int) -> Figure:
    """A figure that has no value on these pictures."""
    return Figure(None, None, None, n, "none")


def wilson(successes: int, n: int) -> Figure:
    """A share with Wilson's 95% score interval, which stays sensible near 0 and 1 and for few pictures.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    if n == 0:
        return undefined(0)
    share = successes / n
    shrink = 1 + _Z_95**2 / n
    centre = (share + _Z_95**2 / (2 * n)) / shrink
    half_width = _Z_95 / shrink * float(np.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n**2)))
    # Rounding may push an end past the share itself at 0 or n successes.
    return Figure(
        share, min(share, max(0.0, centre - half_width)), max(share, min(1.0, centre + half_width)), n, "wilson"
    )


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, seed: int = 0, resamples: int = RESAMPLES
) -> np.ndarray:
    """What a statistic becomes on samples of `n` pictures drawn from the same `n` with replacement.

    Args:
        statistic: Takes float64 [rows, n], how often each picture was drawn in each resample, and returns
            float64 [rows, k], NaN where undefined. It gets many resamples at once, because 2,000 calls that each
            sort 20,000 pictures would take longer than an epoch.
        n: Pictures, at least 1.
        seed: Seed of the draws.
        resamples: How many samples are drawn.

    Returns:
        float64 [resamples, k].

    Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979.
    """
    rng = np.random.default_rng(seed)
    rows_at_once = max(1, _CHUNK_CELLS // n)
    parts = []
    for start in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - start)
        drawn = rng.integers(0, n, size=(rows, n), dtype=np.int32).astype(np.intp)
        drawn += np.arange(rows)[:, None] * n  # a range of its own for each row, so that one bincount counts all
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        parts.append(statistic(counts.astype(np.float64)))
    return np.concatenate(parts)


def percentile_interval(value: float | None, resampled: np.ndarray, n: int) -> Figure:
    """A figure with the middle 95% of its resamples as interval.

    Args:
        value: The figure on the pictures themselves, or None.
        resampled: float64 [resamples]; those that are NaN, where the figure was undefined, are left out.
        n: Pictures behind the figure.
    """
    defined = resampled[np.isfinite(resampled)]
    if value is None or not np.isfinite(value):
        return undefined(n)
    if not defined.size:
        return Figure(float(value), None, None, n, "none")
    low, high = np.percentile(defined, [2.5, 97.5])
    return Figure(float(value), float(low), float(high), n, "bootstrap")


def as_percent(figure: Figure) -> str:
    """A share in words for people: `88.6% (87.3-89.8)`."""
    return _in_words(figure, lambda number: f"{100 * number:.1f}", " %")


def as_decimal(figure: Figure) -> str:
    """Any other figure in words for people: `0.953 (0.945-0.961)`."""
    return _in_words(figure, lambda number: f"{number:.3f}", "")


def _in_words(figure: Figure, write: Callable[[float], str], unit: str) -> str:
    if figure.value is None:
        return "undefined"
    if figure.low is None or figure.high is None:
        return f"{write(figure.value)}{unit}"
    return f"{write(figure.value)}{unit} ({write(figure.low)}-{write(figure.high)})"
