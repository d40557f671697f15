"""What did a change do? Differences to the base, paired over seeds, with intervals and corrected p-values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_EQUAL = 1e-9
"""Differences nearer to each other differ by rounding alone: one picture in a million makes a thousand times more."""


@dataclass(frozen=True)
class Effect:
    """One treatment against the base; accuracies lie between 0 and 1."""

    setting: str
    value: str
    num_seeds: int
    """Seeds that both the treatment and the base were trained with."""
    difference: float
    """Validation accuracy of the treatment less that of the base, the mean over seeds."""
    low: float | None
    """Lower end of the 95% interval, None where nothing tells how much seeds matter."""
    high: float | None
    p_value: float | None
    """Corrected for the number of treatments (Holm)."""
    gap: float
    """Training accuracy less validation accuracy: how much it over-fits, the mean over seeds."""
    gap_change: float
    """The same less that of the base, paired over seeds."""
    gap_low: float | None
    """Lower end of its 95% interval, not corrected for the number of treatments."""
    gap_high: float | None
    seconds: float
    """Of training, the mean over seeds."""

    @property
    def verdict(self) -> str:
        """`helped`, `hurt`, `no clear effect` or `not yet known`."""
        if self.p_value is None:
            return "not yet known"
        if self.p_value >= 1 - CONFIDENCE:
            return "no clear effect"
        return "helped" if self.difference > 0 else "hurt"


@dataclass(frozen=True)
class Outcome:
    """What the effects need of a finished cell."""

    validation_accuracy: float
    training_accuracy: float
    seconds: float


Outcomes = Mapping[tuple[str, str], Mapping[int, Outcome]]
"""By setting and value, then by seed."""


def measure_effects(base: Mapping[int, Outcome], treatments: Outcomes) -> list[Effect]:
    """The effect of every treatment that shares a seed with the base, in the order given.

    Three seeds alone would say little about how much seeds matter, so the spread is pooled over the base and all
    treatments: what is left of the accuracies when every treatment and every seed may have a level of its own (two-way
    analysis of variance). Intervals are Student's with the degrees of freedom that this leaves. Pooling the differences
    themselves would count the base's own luck, which is in all of them, once for each. All are taken to vary alike: a
    change that makes training much less steady is called clear too often, one that hardly changes it too rarely.

    Where nothing is left at all, there is no interval and no p-value. Accuracies are counts of pictures, so that
    differences which agree to the picture only say that the spread is below what so many pictures can show; an interval
    of no width would claim that seeds do not matter. More validation pictures or seeds resolve it.

    Sources: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979;
    Student, Biometrika 6, 1908.
    """
    shared = {
        key: {seed: outcome for seed, outcome in outcomes.items() if seed in base}
        for key, outcomes in treatments.items()
    }
    shared = {key: outcomes for key, outcomes in shared.items() if outcomes}
    accuracy = _changes(base, shared, lambda outcome: outcome.validation_accuracy)
    gap = _changes(base, shared, _gap)
    corrected = holm([change.p_value for change in accuracy])
    return [
        Effect(
            setting=setting,
            value=value,
            num_seeds=len(outcomes),
            difference=accuracy[row].mean,
            low=accuracy[row].low,
            high=accuracy[row].high,
            p_value=corrected[row],
            gap=float(np.mean([_gap(outcome) for outcome in outcomes.values()])),
            gap_change=gap[row].mean,
            gap_low=gap[row].low,
            gap_high=gap[row].high,
            seconds=float(np.mean([outcome.seconds for outcome in outcomes.values()])),
        )
        for row, ((setting, value), outcomes) in enumerate(shared.items())
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number; those that are None are not counted and stay so."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[index] = largest
    return corrected


@dataclass(frozen=True)
class PowerLaw:
    """error = factor * pictures ** -exponent, fitted to logarithms."""

    factor: float
    exponent: float

    def accuracy(self, num_pictures: float) -> float:
        """What it foretells."""
        return 1.0 - self.factor * num_pictures**-self.exponent


def fit_power_law(accuracies: Mapping[int, float]) -> PowerLaw | None:
    """How the error falls with the number of training pictures; None for fewer than three numbers or a perfect one.

    Source: Hestness et al., Deep learning scaling is predictable, empirically, 2017.
    """
    if len(accuracies) < 3 or max(accuracies.values()) >= 1:
        return None
    counts = np.log(list(accuracies))
    errors = np.log([1 - accuracy for accuracy in accuracies.values()])
    slope, intercept = np.polyfit(counts, errors, 1)
    return PowerLaw(float(np.exp(intercept)), float(-slope))


@dataclass(frozen=True)
class _Change:
    """A treatment less the base: the mean over seeds, its 95% interval, and its p-value, not corrected."""

    mean: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def _gap(outcome: Outcome) -> float:
    return outcome.training_accuracy - outcome.validation_accuracy


def _changes(base: Mapping[int, Outcome], treatments: Outcomes, measure: Callable[[Outcome], float]) -> list[_Change]:
    """What each treatment changes in a measure; its seeds are the base's as well."""
    spread, freedom = _spread([base, *treatments.values()], measure)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) if freedom else 0.0
    changes = []
    for outcomes in treatments.values():
        mean = float(np.mean([measure(outcome) - measure(base[seed]) for seed, outcome in outcomes.items()]))
        error = spread / len(outcomes) ** 0.5
        if error:
            p_value = float(2 * stats.t.sf(abs(mean) / error, freedom))
            changes.append(_Change(mean, mean - quantile * error, mean + quantile * error, p_value))
        else:
            changes.append(_Change(mean))
    return changes


def _spread(groups: Sequence[Mapping[int, Outcome]], measure: Callable[[Outcome], float]) -> tuple[float, int]:
    """Standard deviation of a difference with one seed, and its degrees of freedom; 0 where nothing is left of it.

    Args:
        groups: The base, then the treatments.
        measure: What the spread is of.
    """
    seeds = sorted(groups[0])
    cells = [(row, seeds.index(seed), measure(group[seed])) for row, group in enumerate(groups) for seed in group]
    design = np.zeros((len(cells), len(groups) + len(seeds)))  # a level for each treatment and for each seed
    for cell, (row, column, _) in enumerate(cells):
        design[cell, [row, len(groups) + column]] = 1.0
    values = np.array([value for *_, value in cells])
    levels, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left, freedom = values - design @ levels, len(cells) - int(rank)
    if not freedom or np.abs(left).max() < _EQUAL:
        return 0.0, freedom
    return float(np.sqrt(2 * np.sum(left**2) / freedom)), freedom  # a difference varies as two trainings do
