"""Is one training better than another? Paired: both are judged on the same pictures, so that what is hard for both
cancels out."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from dogvscat.judging.intervals import Figure, bootstrap, percentile_interval

SIGNIFICANCE = 0.05
_Z_95 = 1.959963984540054
_Z_80 = 0.8416212335729143
_MOST_PICTURES = 1_000_000
_LEAST_DISAGREEMENTS = 6
"""Six to none has p = 2 / 2**6 = 0.031, five to none 0.063."""


@dataclass(frozen=True)
class Difference:
    """How much more often the second of two sides is right."""

    accuracy: Figure
    """Accuracy of the second minus that of the first, with a 95% interval from resampled pictures (and seeds, where
    a side has several)."""
    only_first: int
    """Pictures that the first side answers rightly more often than the second."""
    only_second: int
    """The other way round."""
    variance: float
    """Of the difference on one picture, which is -1, 0 or 1 for one run each, and a mean over seeds for several."""
    p_value: float
    """Of as uneven a count, or a more uneven one, if both were equally good: exact McNemar for one run each, the sign
    test over pictures for several seeds. In a comparison corrected for the number of sides (Holm)."""

    @property
    def clear(self) -> bool:
        """Whether interval and test both say that one side is better."""
        low, high = self.accuracy.low or 0.0, self.accuracy.high or 0.0
        return (low > 0 or high < 0) and self.p_value < SIGNIFICANCE

    def pictures_needed(self) -> int | None:
        """About how many pictures would show a difference of this size in four of five cases, if it is real; None where
        there is none, or nobody has so many. As if no other sides were compared.

        From the normal approximation of paired shares. The exact test asks for six disagreements at least.
        """
        value, n = self.accuracy.value or 0.0, self.accuracy.n
        if not value:
            return None
        disagreeing = (self.only_first + self.only_second) / n
        approximation = (_Z_95 + _Z_80) ** 2 * self.variance / value**2
        needed = int(np.ceil(max(approximation, _LEAST_DISAGREEMENTS / disagreeing)))
        return needed if needed <= _MOST_PICTURES else None


def paired_difference(first: np.ndarray, second: np.ndarray, seed: int = 0) -> Difference:
    """Compare two sides picture by picture.

    Args:
        first: bool [R1, N], whether each of R1 runs, which differ in their seeds alone, is right about each picture.
        second: bool [R2, N], likewise about the same pictures.
        seed: Of the bootstrap.

    Raises:
        ValueError: if the two are not about equally many pictures.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12,
    1947; Dietterich, Approximate statistical tests for comparing supervised classification algorithms, 1998.
    """
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"expected answers about the same pictures, received {first.shape} and {second.shape}")
    n = first.shape[1]
    shares = second.mean(axis=0) - first.mean(axis=0)  # [N]
    only_first, only_second = int(np.sum(shares < 0)), int(np.sum(shares > 0))
    either = only_first + only_second
    p_value = float(binomtest(only_second, either, 0.5).pvalue) if either else 1.0
    rng = np.random.default_rng(seed + 1)

    def statistic(counts: np.ndarray) -> np.ndarray:
        means = [_mean_of_drawn_runs(counts @ right.T / n, rng) for right in (first, second)]
        return (means[1] - means[0])[:, None]

    resampled = bootstrap(statistic, n, seed)[:, 0]
    interval = percentile_interval(float(shares.mean()), resampled, n)
    return Difference(interval, only_first, only_second, float(shares.var()), p_value)


def _mean_of_drawn_runs(accuracies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each resample of pictures, float64 [rows, R], the mean over as many runs drawn with replacement."""
    rows, runs = accuracies.shape
    drawn = rng.integers(0, runs, size=(rows, runs))
    return np.take_along_axis(accuracies, drawn, axis=1).mean(axis=1)


def headline(first: str, second: str, difference: Difference) -> str:
    """The answer alone, for people."""
    if not difference.clear:
        return f"{first} and {second} cannot be told apart on {difference.accuracy.n:,} pictures."
    value = difference.accuracy.value or 0.0
    return f"{second if value > 0 else first} is better, by {100 * abs(value):.1f} points."


def in_a_sentence(first: str, second: str, difference: Difference) -> str:
    """What was found, for people."""
    figure, n = difference.accuracy, difference.accuracy.n
    value = 100 * (figure.value or 0.0)
    if not value and not (difference.only_first + difference.only_second):
        return f"{first} and {second} give right answers to the very same of {n:,} pictures."
    between = (
        f"95%: {100 * (figure.low or 0.0):+.2f} to {100 * (figure.high or 0.0):+.2f}, p = {difference.p_value:.2g}"
    )
    if value < 0:  # "11 points less often (95%: -38 to +8)" would leave open which way the interval points
        between = f"{value:+.2f}, {between}"
    if not value:
        return f"{first} and {second} are right equally often on {n:,} pictures, though not on the same ones."
    compared = f"{second} is right {abs(value):.2f} points {'more' if value >= 0 else 'less'} often than {first}"
    if difference.clear:
        better = second if value > 0 else first
        return f"{compared} ({between}): {better} is better on pictures like these {n:,}."
    needed = difference.pictures_needed()
    advice = f" A difference of this size would mostly show on about {needed:,}." if needed and needed > n else ""
    return f"{compared} ({between}): on {n:,} pictures the two cannot be told apart.{advice}"
