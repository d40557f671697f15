"""What did a change do? Differences to the base, paired over seeds, with intervals and corrected p-values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_ROUNDING = 1e-9
"""Residuals below this come from rounding only: one photo in a million makes a residual a thousand times as large."""


@dataclass(frozen=True)
class Effect:
    """One treatment against the base; accuracies lie between 0 and 1."""

    setting: str
    value: str
    num_seeds: int
    """Seeds that both the treatment and the base were trained with."""
    difference: float
    """Validation accuracy of the treatment minus that of the base, the mean over seeds."""
    low: float | None
    """Lower end of the 95% interval, None where it is unknown how much seeds matter."""
    high: float | None
    p_value: float | None
    """Corrected for the number of treatments (Holm)."""
    generalization_gap: float
    """Training accuracy minus validation accuracy: how much the treatment over-fits, the mean over seeds."""
    gap_change: float
    """The treatment's generalization gap minus that of the base, paired over seeds."""
    gap_low: float | None
    """Lower end of the 95% interval of `gap_change`, not corrected for the number of treatments."""
    gap_high: float | None
    seconds: float
    """Time of a training, the mean over seeds."""

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
    """What the effects need of a finished training."""

    validation_accuracy: float
    training_accuracy: float
    seconds: float

    @property
    def generalization_gap(self) -> float:
        """Training accuracy minus validation accuracy."""
        return self.training_accuracy - self.validation_accuracy


Outcomes = Mapping[tuple[str, str], Mapping[int, Outcome]]
"""By setting and value, then by seed."""


def measure_effects(base: Mapping[int, Outcome], treatments: Outcomes) -> list[Effect]:
    """The effect of every treatment that shares a seed with the base, in the order given.

    Three seeds of one treatment would say little about how much seeds matter. So the spread is pooled over the base and
    all treatments: it is what remains of the accuracies when every treatment and every seed may have a level of its own
    (two-way analysis of variance). Intervals are Student's with the degrees of freedom that this leaves. Pooling the
    differences instead would count the luck of the base once per treatment, because it is part of every difference. All
    treatments are assumed to vary equally from seed to seed. So an effect is called clear too often if its treatment
    varies more than the others, and too rarely if it varies less.

    If nothing remains at all, there is no interval and no p-value. Accuracies are counts of photos: if all differences
    are equal, the spread is only too small to be seen with this number of photos, and an interval of zero width would
    claim that seeds do not matter. More validation photos or more seeds help.

    Args:
        base: The base's trainings, by seed.
        treatments: The others; seeds that the base does not have are left out.

    Sources: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979;
    Student, Biometrika 6, 1908.
    """
    paired = {
        key: {seed: outcome for seed, outcome in outcomes.items() if seed in base}
        for key, outcomes in treatments.items()
    }
    paired = {key: outcomes for key, outcomes in paired.items() if outcomes}
    accuracy_changes = _changes(base, paired, lambda outcome: outcome.validation_accuracy)
    gap_changes = _changes(base, paired, lambda outcome: outcome.generalization_gap)
    # Only accuracies decide what helped, so only their p-values are corrected.
    corrected = holm([change.p_value for change in accuracy_changes])
    return [
        Effect(
            setting=setting,
            value=value,
            num_seeds=len(outcomes),
            difference=accuracy.mean,
            low=accuracy.low,
            high=accuracy.high,
            p_value=p_value,
            generalization_gap=float(np.mean([outcome.generalization_gap for outcome in outcomes.values()])),
            gap_change=gap.mean,
            gap_low=gap.low,
            gap_high=gap.high,
            seconds=float(np.mean([outcome.seconds for outcome in outcomes.values()])),
        )
        for ((setting, value), outcomes), accuracy, gap, p_value in zip(
            paired.items(), accuracy_changes, gap_changes, corrected, strict=True
        )
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number; those that are None are not counted and stay None."""
    ascending = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(ascending):
        # The smallest of m is multiplied by m, the next by m - 1 and so on; none may be smaller than the one before.
        largest = max(largest, min(1.0, p * (len(ascending) - rank)))
        corrected[index] = largest
    return corrected


@dataclass(frozen=True)
class PowerLaw:
    """error = factor * num_photos ** -exponent, fitted to logarithms."""

    factor: float
    exponent: float

    def accuracy(self, num_photos: float) -> float:
        """The accuracy that the law predicts for a number of training photos."""
        return float(1.0 - self.factor * num_photos**-self.exponent)


def fit_power_law(accuracies: Mapping[int, float]) -> PowerLaw | None:
    """How the error falls with the number of training photos.

    Args:
        accuracies: By number of photos.

    Returns:
        None for fewer than three numbers, or if one training makes no mistake: its error has no logarithm.

    Source: Hestness et al., Deep learning scaling is predictable, empirically, 2017.
    """
    if len(accuracies) < 3 or max(accuracies.values()) >= 1:
        return None
    log_counts = np.log(list(accuracies))
    log_errors = np.log([1 - accuracy for accuracy in accuracies.values()])
    slope, intercept = np.polyfit(log_counts, log_errors, 1)
    return PowerLaw(float(np.exp(intercept)), float(-slope))


@dataclass(frozen=True)
class _Change:
    """A treatment minus the base: the mean over seeds, its 95% interval, and its p-value, not corrected."""

    mean: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def _changes(base: Mapping[int, Outcome], treatments: Outcomes, measure: Callable[[Outcome], float]) -> list[_Change]:
    """How each treatment changes a measure. The base must have all seeds of the treatments."""
    from scipy import stats  # here, because `compare` uses this file without it in the light installation

    deviation, freedom = _pooled_deviation([base, *treatments.values()], measure)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) if freedom else 0.0
    changes = []
    for outcomes in treatments.values():
        mean = float(np.mean([measure(outcome) - measure(base[seed]) for seed, outcome in outcomes.items()]))
        error = deviation / len(outcomes) ** 0.5
        if error:
            p_value = float(2 * stats.t.sf(abs(mean) / error, freedom))
            changes.append(_Change(mean, mean - quantile * error, mean + quantile * error, p_value))
        else:
            changes.append(_Change(mean))
    return changes


def _pooled_deviation(
    groups: Sequence[Mapping[int, Outcome]], measure: Callable[[Outcome], float]
) -> tuple[float, int]:
    """Standard deviation of a treatment's difference to the base with one seed, and its degrees of freedom.

    Fits value[treatment, seed] = level[treatment] + level[seed] + residual by least squares. A treatment may have fewer
    seeds than the base, so the means of rows and columns would not do.

    Args:
        groups: The base, then the treatments, by seed.
        measure: What the deviation is of.

    Returns:
        A deviation of 0 if there are no residuals to estimate it from.
    """
    seeds = sorted(groups[0])
    cells = [
        (group, seeds.index(seed), measure(groups[group][seed]))
        for group in range(len(groups))
        for seed in groups[group]
    ]
    # One row per training, with a 1 in the column of its treatment and a 1 in the column of its seed.
    design = np.zeros((len(cells), len(groups) + len(seeds)))
    for row, (group, seed_index, _) in enumerate(cells):
        design[row, [group, len(groups) + seed_index]] = 1.0
    values = np.array([value for *_, value in cells])  # (num_cells,)
    # Adding a constant to all treatments and taking it off all seeds changes nothing, so the rank is less than the
    # number of columns. lstsq gives one of the equal solutions; the residuals are the same for all of them.
    levels, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    residuals, freedom = values - design @ levels, len(cells) - int(rank)
    if not freedom or np.abs(residuals).max() < _ROUNDING:
        return 0.0, freedom
    # Factor 2: a difference has the variance of two trainings, the treatment's and the base's.
    return float(np.sqrt(2 * np.sum(residuals**2) / freedom)), freedom
