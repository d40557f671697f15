"""Which sampler and which pruning find the best settings? Hundreds of simulated searches, from the trials of real ones.

    python benchmarks/search.py PHOTOS --out FOLDER
    python benchmarks/search_simulated.py FOLDER --budget 240 --searches 100

Real searches are too few to tell ways of searching apart. Extremely randomised trees learn from the whole trials below
FOLDER what accuracy every epoch has for which settings. Out of bag they also say how much they err, and that becomes
the luck of a simulated trial: the errors of a whole trial of about the same accuracy. Surrogates of this kind often
rank optimisers as the real thing does (Eggensperger et al., Efficient benchmarking of hyperparameter optimizers via
surrogates, 2015), but not always: what comes out best here is to be tried with `search.py` and seeds of its own.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import track
from sklearn.ensemble import ExtraTreesRegressor

from dogvscat.exploring.search.storage import open_storage

Settings = dict[str, Any]
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed),
    "TPE, each setting": lambda seed: TPESampler(seed=seed, multivariate=False),
    "TPE, all together": lambda seed: TPESampler(seed=seed, multivariate=True),
}


def pruners(epochs: int) -> dict[str, Callable[[], BasePruner]]:
    """Ways of cutting trials short that have so many epochs at most."""
    sixth, quarter, half = epochs // 6, epochs // 4, epochs // 2
    return {
        "none": NopPruner,
        "ASHA, a sixth, best third": lambda: SuccessiveHalvingPruner(min_resource=sixth, reduction_factor=3),
        "ASHA, a sixth, best quarter": lambda: SuccessiveHalvingPruner(min_resource=sixth, reduction_factor=4),
        "ASHA, a quarter, best half": lambda: SuccessiveHalvingPruner(min_resource=quarter, reduction_factor=2),
        "ASHA, half, best half": lambda: SuccessiveHalvingPruner(min_resource=half, reduction_factor=2),
        "Hyperband": lambda: HyperbandPruner(min_resource=sixth, max_resource=epochs, reduction_factor=3),
        "median, from a quarter on": lambda: MedianPruner(n_startup_trials=5, n_warmup_steps=quarter),
    }


def main() -> None:
    """Learn from real trials, simulate, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=int, default=240, help="epochs a search")
    parser.add_argument("--searches", type=int, default=100, help="simulated, of each kind")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    progress = Console(stderr=True)
    trials = whole_trials(arguments.folder)
    if not trials:
        parser.error(f"there is no whole trial of a search below {arguments.folder}: run search.py with --out first")
    surrogate = Surrogate.learned(trials)
    print(surrogate.in_words)
    print("\n| sampler | pruning | trials | best found | its settings without luck | standard deviation |")
    print("|---|---|---|---|---|---|")
    for sampler_name, sampler in SAMPLERS.items():
        for pruner_name, pruner in pruners(surrogate.epochs).items():
            name = f"{sampler_name}, {pruner_name}"
            ends = [
                simulate(surrogate, sampler(seed), pruner(), arguments.budget, np.random.default_rng(seed))
                for seed in track(range(arguments.searches), name, transient=True, console=progress)
            ]
            found, lasting = [end.found for end in ends], [end.lasting for end in ends]
            num_trials = statistics.mean(end.num_trials for end in ends)
            percent = (100 * figure for figure in (*map(statistics.mean, (found, lasting)), statistics.stdev(lasting)))
            figures = " | ".join(f"{figure:.2f} %" for figure in percent)
            print(f"| {sampler_name} | {pruner_name} | {num_trials:.0f} | {figures} |", flush=True)


def whole_trials(folder: Path) -> list[FrozenTrial]:
    """Of all searches below a folder, those that were not cut short; of equal settings the first."""
    found: dict[str, FrozenTrial] = {}
    for journal in sorted(folder.glob("*/trials.journal")):
        study = optuna.load_study(study_name=None, storage=open_storage(None, journal.parent))
        for trial in study.get_trials(states=[TrialState.COMPLETE]):
            found.setdefault(repr(trial.params), trial)
    return list(found.values())


@dataclass(frozen=True)
class Surrogate:
    """What accuracies a trial with given settings would have."""

    trees: ExtraTreesRegressor
    distributions: dict[str, BaseDistribution]
    y_mean: NDArray[np.float64]
    """What the trees say of the trials that they did not see, `(trials, epochs)`, the best at the end last."""
    errors: NDArray[np.float64]
    """How far those trials were from it, `(trials, epochs)`."""

    @classmethod
    def learned(cls, trials: list[FrozenTrial]) -> "Surrogate":
        """From whole trials of one space."""
        distributions = trials[0].distributions
        features = np.array([_features(trial.params, distributions) for trial in trials])
        y_true = np.array([[value for _, value in sorted(trial.intermediate_values.items())] for trial in trials])
        trees = ExtraTreesRegressor(100, min_samples_leaf=2, bootstrap=True, oob_score=True, random_state=0)
        y_mean = trees.fit(features, y_true).oob_prediction_  # (trials, epochs)
        order = np.argsort(y_mean[:, -1])
        return cls(trees, distributions, y_mean[order], (y_true - y_mean)[order])

    @property
    def epochs(self) -> int:
        """Of a whole trial."""
        return self.y_mean.shape[1]

    @property
    def in_words(self) -> str:
        """How well it foresees the last epoch of trials that it did not see."""
        error = self.errors[:, -1]
        explained = 1 - np.square(error).mean() / (self.y_mean[:, -1] + error).var()
        points = 100 * np.sqrt(np.square(error).mean())
        fit = f"the trees explain {explained:.0%} of the variance and err by {points:.1f} points"
        return f"{len(error)} whole trials; {fit}."

    def trial(self, settings: Settings, luck: np.random.Generator) -> tuple[NDArray[np.float64], float]:
        """Accuracies of every epoch, `(epochs,)`, and the last one without luck."""
        mean = self.trees.predict([_features(settings, self.distributions)])[0]  # (epochs,)
        alike = len(self.errors) // 10
        place = int(np.searchsorted(self.y_mean[:, -1], mean[-1])) + luck.integers(-alike, alike + 1)
        return mean + self.errors[np.clip(place, 0, len(self.errors) - 1)], float(mean[-1])


def _features(settings: Settings, distributions: dict[str, BaseDistribution]) -> list[float]:
    """Numbers that trees can split at, one a setting."""
    numbers = []
    for key, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            numbers.append(float(distribution.choices.index(settings[key])))
        else:
            is_log = isinstance(distribution, FloatDistribution) and distribution.log
            numbers.append(float(np.log(settings[key]) if is_log else settings[key]))
    return numbers


@dataclass(frozen=True)
class End:
    """What a simulated search came to: the best accuracy of a whole trial, the same without luck, and its trials."""

    found: float
    lasting: float
    num_trials: int


def simulate(
    surrogate: Surrogate, sampler: BaseSampler, pruner: BasePruner, budget: int, luck: np.random.Generator
) -> End:
    """One search that spends so many epochs."""
    study = optuna.create_study(sampler=sampler, pruner=pruner, direction="maximize")
    spent, best = 0, (0.5, 0.5)
    while spent < budget:
        trial = study.ask(surrogate.distributions)
        y_epochs, lasting = surrogate.trial(trial.params, luck)
        for epoch, accuracy in enumerate(y_epochs, 1):
            spent += 1
            trial.report(float(accuracy), epoch)
            if epoch < len(y_epochs) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(y_epochs[-1]))
            if spent <= budget:
                best = max(best, (float(y_epochs[-1]), lasting))
    return End(*best, len(study.trials))


if __name__ == "__main__":
    main()
