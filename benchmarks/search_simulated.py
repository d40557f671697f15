"""Which sampler and which pruning find the best settings? Hundreds of simulated searches, based on real trials.

    python benchmarks/search.py PHOTOS --out FOLDER
    python benchmarks/search_simulated.py FOLDER --budget 240 --searches 100

Real searches are too few to tell search methods apart. Extremely randomized trees learn from the completed trials below
FOLDER which accuracy each epoch has for which settings. Their out-of-bag errors become the luck of a simulated trial:
it gets all the errors of one real trial of about the same accuracy. Surrogates of this kind often rank optimizers as
real trainings do (Eggensperger et al., Efficient benchmarking of hyperparameter optimizers via surrogates, 2015), but
not always: confirm the best method with `search.py` and fresh seeds.
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
    """Pruning methods for trials of at most that many epochs, by name."""
    sixth, quarter, half = epochs // 6, epochs // 4, epochs // 2
    # ASHA: "a sixth, best third" stops a trial after a sixth of its epochs, then after three times as many, and so on,
    # unless it is in the best third of those that got as far.
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
    """Learn from real trials, simulate searches and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=int, default=240, help="epochs per search")
    parser.add_argument("--searches", type=int, default=100, help="simulated searches of each method")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    progress = Console(stderr=True)
    trials = load_completed_trials(arguments.folder)
    if not trials:
        parser.error(
            f"there is no completed trial of a search below {arguments.folder}: run search.py with --out first"
        )
    surrogate = Surrogate.fit(trials)
    print(surrogate.fit_in_words)
    print("\n| sampler | pruning | trials | best found | expected accuracy of its settings | standard deviation |")
    print("|---|---|---|---|---|---|")
    for sampler_name, sampler in SAMPLERS.items():
        for pruner_name, pruner in pruners(surrogate.epochs).items():
            name = f"{sampler_name}, {pruner_name}"
            outcomes = [
                simulate(surrogate, sampler(seed), pruner(), arguments.budget, np.random.default_rng(seed))
                for seed in track(range(arguments.searches), name, transient=True, console=progress)
            ]
            best = [outcome.best_accuracy for outcome in outcomes]
            expected = [outcome.expected_accuracy for outcome in outcomes]
            num_trials = statistics.mean(outcome.num_trials for outcome in outcomes)
            columns = statistics.mean(best), statistics.mean(expected), statistics.stdev(expected)
            figures = " | ".join(f"{100 * figure:.2f}%" for figure in columns)
            print(f"| {sampler_name} | {pruner_name} | {num_trials:.0f} | {figures} |", flush=True)


def load_completed_trials(folder: Path) -> list[FrozenTrial]:
    """The trials of all searches below a folder that were not pruned; of equal settings the first."""
    trials: dict[str, FrozenTrial] = {}  # by their settings: paired searches share their first trials
    for journal in sorted(folder.glob("*/trials.journal")):
        study = optuna.load_study(study_name=None, storage=open_storage(None, journal.parent))
        for trial in study.get_trials(states=[TrialState.COMPLETE]):
            trials.setdefault(repr(trial.params), trial)
    return list(trials.values())


@dataclass(frozen=True)
class Surrogate:
    """Predicts the accuracies that a trial with given settings would have."""

    trees: ExtraTreesRegressor
    distributions: dict[str, BaseDistribution]
    y_mean: NDArray[np.float64]
    """Out-of-bag predictions, `(trials, epochs)`, sorted by the accuracy predicted for the last epoch."""
    errors: NDArray[np.float64]
    """Real accuracies less these predictions, `(trials, epochs)`, in the same order."""

    @classmethod
    def fit(cls, trials: list[FrozenTrial]) -> "Surrogate":
        """Learn from completed trials of one space."""
        distributions = trials[0].distributions
        features = np.array([_features(trial.params, distributions) for trial in trials])
        # (trials, epochs)
        y_true = np.array([[value for _, value in sorted(trial.intermediate_values.items())] for trial in trials])
        trees = ExtraTreesRegressor(100, min_samples_leaf=2, bootstrap=True, oob_score=True, random_state=0)
        y_mean = trees.fit(features, y_true).oob_prediction_  # (trials, epochs)
        order = np.argsort(y_mean[:, -1])
        return cls(trees, distributions, y_mean[order], (y_true - y_mean)[order])

    @property
    def epochs(self) -> int:
        """Epochs of a completed trial."""
        return self.y_mean.shape[1]

    @property
    def fit_in_words(self) -> str:
        """How well the trees predict the last epoch of trials that they did not see."""
        error = self.errors[:, -1]
        explained = 1 - np.square(error).mean() / (self.y_mean[:, -1] + error).var()
        points = 100 * np.sqrt(np.square(error).mean())
        fit = f"the trees explain {explained:.0%} of the variance, with an error of {points:.1f} points"
        return f"{len(error)} completed trials; {fit}."

    def draw_trial(self, settings: Settings, luck: np.random.Generator) -> tuple[NDArray[np.float64], float]:
        """Accuracies of every epoch, `(epochs,)`, and the expected accuracy of the last one, without luck."""
        mean = self.trees.predict([_features(settings, self.distributions)])[0]  # (epochs,)
        # The errors of one real trial, out of the fifth of all trials whose accuracy is closest. All its epochs
        # together, since a trial that starts lucky often stays so.
        window = len(self.errors) // 10
        rank = int(np.searchsorted(self.y_mean[:, -1], mean[-1])) + luck.integers(-window, window + 1)
        return mean + self.errors[np.clip(rank, 0, len(self.errors) - 1)], float(mean[-1])


def _features(settings: Settings, distributions: dict[str, BaseDistribution]) -> list[float]:
    """The settings as numbers that trees can split on, one per setting."""
    numbers = []
    for key, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            numbers.append(float(distribution.choices.index(settings[key])))
        else:
            is_log = isinstance(distribution, FloatDistribution) and distribution.log
            numbers.append(float(np.log(settings[key]) if is_log else settings[key]))
    return numbers


@dataclass(frozen=True)
class Outcome:
    """The result of a simulated search."""

    best_accuracy: float
    """Of the best completed trial, luck included."""
    expected_accuracy: float
    """Of the settings of that trial, without luck."""
    num_trials: int


def simulate(
    surrogate: Surrogate, sampler: BaseSampler, pruner: BasePruner, budget: int, luck: np.random.Generator
) -> Outcome:
    """Simulate one search that spends `budget` epochs."""
    study = optuna.create_study(sampler=sampler, pruner=pruner, direction="maximize")
    spent, best = 0, (0.5, 0.5)  # before the first completed trial: guessing
    while spent < budget:
        trial = study.ask(surrogate.distributions)
        y_epochs, expected = surrogate.draw_trial(trial.params, luck)
        for epoch, accuracy in enumerate(y_epochs, 1):
            spent += 1
            trial.report(float(accuracy), epoch)
            if epoch < len(y_epochs) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(y_epochs[-1]))
            if spent <= budget:  # the last trial may exceed the budget, then it does not count
                best = max(best, (float(y_epochs[-1]), expected))
    return Outcome(*best, len(study.trials))


if __name__ == "__main__":
    main()
