"""Is one training better than another? A paired comparison: both are evaluated on the same photos, so photos that
are difficult for both cancel out."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from dogvscat.judging.intervals import MetricValue, bootstrap, percentile_interval

SIGNIFICANCE = 0.05
_Z_95 = NormalDist().inv_cdf(0.975)
_Z_80 = NormalDist().inv_cdf(0.8)
_MOST_PHOTOS = 1_000_000
_MIN_DISAGREEMENTS = 6
"""Fewest photos that can show a clear difference, if all of them speak for the same arm: six give p = 2 / 2**6 = 0.031,
five give 0.063."""


@dataclass(frozen=True)
class Difference:
    """How much more often the second of two arms is correct."""

    accuracy: MetricValue
    """Accuracy of the second minus that of the first, with a 95% interval from resampled photos (and seeds, where an
    arm has several)."""
    only_first: int
    """Photos that the first arm classifies correctly more often than the second."""
    only_second: int
    """Photos that the second arm classifies correctly more often than the first."""
    variance: float
    """Variance of the difference on one photo. With one run per arm, this difference is -1, 0 or 1; with several seeds
    it is a difference of means."""
    p_value: float
    """Probability that `only_first` and `only_second` differ at least this much if both arms are equally good: the
    exact McNemar test for one run each, the sign test over photos for several seeds. `compare_runs` corrects it for the
    number of arms (Holm)."""

    @property
    def clear(self) -> bool:
        """Whether both the interval and the test say that one arm is better."""
        low, high = self.accuracy.low or 0.0, self.accuracy.high or 0.0
        return (low > 0 or high < 0) and self.p_value < SIGNIFICANCE

    def photos_needed(self) -> int | None:
        """About how many photos would show a difference of this size in four of five cases, if it is real.

        From the normal approximation of paired shares; the exact test needs at least six disagreements. There is no
        correction for the number of arms.

        Returns:
            None if there is no difference, or if more than a million photos would be needed.
        """
        value, n = self.accuracy.value or 0.0, self.accuracy.n
        if not value:
            return None
        disagreement_rate = (self.only_first + self.only_second) / n
        # Size of a test with a 5% level and a power of 80%: (z_0.975 + z_0.8)^2 * variance / difference^2.
        approximation = (_Z_95 + _Z_80) ** 2 * self.variance / value**2
        needed = int(np.ceil(max(approximation, _MIN_DISAGREEMENTS / disagreement_rate)))
        return needed if needed <= _MOST_PHOTOS else None


def paired_difference(first: np.ndarray, second: np.ndarray, seed: int = 0) -> Difference:
    """Compare two arms photo by photo.

    Args:
        first: bool (num_runs, num_photos), whether each run classifies each photo correctly. The runs differ only in
            their seeds.
        second: bool (num_runs, num_photos), for the same photos; the number of runs may differ.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: if the two do not have the same number of photos.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12,
    1947; Dietterich, Approximate statistical tests for comparing supervised classification algorithms, 1998.
    """
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"expected predictions for the same photos, received {first.shape} and {second.shape}")
    n = first.shape[1]
    per_photo = second.mean(axis=0) - first.mean(axis=0)  # (num_photos,), -1 to 1
    only_first, only_second = int(np.sum(per_photo < 0)), int(np.sum(per_photo > 0))
    p_value = sign_test(only_first, only_second)
    rng = np.random.default_rng(seed + 1)

    # Two sources of luck are resampled together: which photos there are, and which seeds were trained with. Both arms
    # get the same resampled photos, which keeps the comparison paired; their seeds are drawn independently.
    def resampled_difference(counts: np.ndarray) -> np.ndarray:
        """From how often each photo was drawn, (num_resamples, num_photos), to the difference, (num_resamples, 1)."""
        means = [_mean_of_resampled_runs(counts @ is_correct.T / n, rng) for is_correct in (first, second)]
        return np.asarray(means[1] - means[0])[:, None]

    resampled = bootstrap(resampled_difference, n, seed)[:, 0]
    interval = percentile_interval(float(per_photo.mean()), resampled, n)
    return Difference(interval, only_first, only_second, float(per_photo.var()), p_value)


def sign_test(num_first: int, num_second: int) -> float:
    """The probability that a fair coin falls at least this unequally on its two sides, exactly (two-sided)."""
    n = num_first + num_second
    ways = tail = 1  # ways to get `count` times the rarer side, as whole numbers of any length
    for count in range(min(num_first, num_second)):
        ways = ways * (n - count) // (count + 1)
        tail += ways
    return min(1.0, float(2 * tail / 2**n))


def _mean_of_resampled_runs(accuracies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean accuracy of an arm for each resample, over its runs drawn with replacement.

    Args:
        accuracies: float64 (num_resamples, num_runs), of each run on the photos of each resample.
        rng: Draws the runs.
    """
    num_resamples, num_runs = accuracies.shape
    drawn = rng.integers(0, num_runs, size=(num_resamples, num_runs))
    return np.asarray(np.take_along_axis(accuracies, drawn, axis=1).mean(axis=1))


def headline(first: str, second: str, difference: Difference) -> str:
    """The result in one short sentence."""
    if not difference.clear:
        return f"{first} and {second} cannot be told apart on {difference.accuracy.n:,} photos."
    value = difference.accuracy.value or 0.0
    return f"{second if value > 0 else first} is better, by {100 * abs(value):.1f} points."


def difference_in_words(first: str, second: str, difference: Difference) -> str:
    """The result with interval and p-value, in a sentence or two."""
    accuracy, n = difference.accuracy, difference.accuracy.n
    points = 100 * (accuracy.value or 0.0)
    if not points and not (difference.only_first + difference.only_second):
        return f"Of {n:,} photos, {first} and {second} classify exactly the same ones correctly."
    if not points:
        return f"{first} and {second} are correct equally often on {n:,} photos, but not on the same ones."
    low, high = 100 * (accuracy.low or 0.0), 100 * (accuracy.high or 0.0)
    interval = f"95%: {low:+.2f} to {high:+.2f}, p = {difference.p_value:.2g}"
    if points < 0:  # "11 points less often (95%: -38 to +8)" would leave open which way the interval points
        interval = f"{points:+.2f}, {interval}"
    statement = f"{second} is correct {abs(points):.2f} points {'more' if points > 0 else 'less'} often than {first}"
    if difference.clear:
        better = second if points > 0 else first
        return f"{statement} ({interval}): {better} is better on photos like these {n:,}."
    needed = difference.photos_needed()
    advice = (
        f" About {needed:,} photos would show a difference of this size in four of five cases."
        if needed and needed > n
        else ""
    )
    return f"{statement} ({interval}): on {n:,} photos the two cannot be told apart.{advice}"
