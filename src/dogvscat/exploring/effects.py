"""What did a change do? Differences to the base, paired over seeds, with intervals that allow for many comparisons."""

from collections.abc import Mapping, Sequence
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
    """Lower end of the 95 % interval, None where nothing tells how much seeds matter."""
    high: float | None
    p_value: float | None
    """Corrected for the number of treatments (Holm)."""
    gap: float
    """Training accuracy less validation accuracy: how much it over-fits."""
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
    themselves would count the base's own luck, which is in all of them, once for each.

    Where no treatment's differences vary at all, there is no interval and no p-value. Accuracies are counts of
    pictures, so that differences which agree to the picture only say that the spread is below what so many pictures can
    show; an interval of no width would claim that seeds do not matter. More validation pictures or seeds resolve it.

    Sources: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979;
    Student, Biometrika 6, 1908.
    """
    paired = {key: _differences(base, outcomes) for key, outcomes in treatments.items()}
    paired = {key: differences for key, differences in paired.items() if len(differences)}
    spread, freedom = _spread([base, *(treatments[key] for key in paired)])
    raw = {key: _p_value(differences, spread, freedom) for key, differences in paired.items()}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) if freedom else 0.0
    effects = []
    for (setting, value), differences in paired.items():
        outcomes, mean = treatments[setting, value], float(differences.mean())
        half = quantile * spread / np.sqrt(len(differences)) if spread else None
        effects.append(
            Effect(
                setting,
                value,
                len(differences),
                mean,
                None if half is None else mean - float(half),
                None if half is None else mean + float(half),
                corrected[setting, value],
                float(np.mean([o.training_accuracy - o.validation_accuracy for o in outcomes.values()])),
                float(np.mean([outcome.seconds for outcome in outcomes.values()])),
            )
        )
    return effects


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


def _differences(base: Mapping[int, Outcome], outcomes: Mapping[int, Outcome]) -> np.ndarray:
    seeds = [seed for seed in outcomes if seed in base]
    return np.array([outcomes[seed].validation_accuracy - base[seed].validation_accuracy for seed in seeds])


def _spread(groups: Sequence[Mapping[int, Outcome]]) -> tuple[float, int]:
    """Standard deviation of a difference with one seed, and its degrees of freedom; 0 where nothing is left of it.

    Args:
        groups: The base, then the treatments; of these the seeds that the base has as well count.
    """
    cells = [(row, seed, group[seed]) for row, group in enumerate(groups) for seed in group if seed in groups[0]]
    seeds = sorted(groups[0])
    design = np.zeros((len(cells), len(groups) + len(seeds)))
    for cell, (row, seed, _) in enumerate(cells):
        design[cell, [row, len(groups) + seeds.index(seed)]] = 1.0
    accuracies = np.array([outcome.validation_accuracy for *_, outcome in cells])
    levels, _, rank, _ = np.linalg.lstsq(design, accuracies, rcond=None)
    left, freedom = accuracies - design @ levels, len(cells) - int(rank)
    if not freedom or np.abs(left).max() < _EQUAL:
        return 0.0, freedom
    return float(np.sqrt(2 * np.sum(left**2) / freedom)), freedom  # a difference varies as two trainings do


def _p_value(differences: np.ndarray, spread: float, freedom: int) -> float | None:
    if not spread:
        return None
    error = spread / np.sqrt(len(differences))
    return float(2 * stats.t.sf(abs(differences.mean()) / error, freedom))
