"""Does TPE with pruning find better settings than random search, at equal cost? Several seeds of both, in pairs.

    python benchmarks/search.py PHOTOS --out FOLDER --seeds $(seq 51 2 69) &
    python benchmarks/search.py PHOTOS --out FOLDER --seeds $(seq 52 2 70); wait
    python benchmarks/search.py PHOTOS --out FOLDER

Both search the same space and stop after the same number of epochs. An epoch costs nearly the same in every trial here:
one image size, one number of photos, the same convolutions. Epochs decide, not seconds, so that other work on the
machine does not matter. An epoch of a pruned trial counts like any other. The best accuracy after a number of epochs
is that of the best trial completed by then. Many short trials build more networks than a few long ones, so the minutes
are printed as well, and what each search had found in the minutes that random search took. The best settings of each
search are then trained again with fresh seeds, since the best of many trials owes part of its accuracy to a lucky seed.
Completed seeds and trials are not run again: repeat the command until all are complete, then without `--seeds` for the
table of all.

The default is `classic` with half of its filters, 2,000 training photos at 32 px, at most 12 epochs per trial, 120
epochs per search (10 whole trials), and twenty seeds of both samplers: 4,800 epochs, and 1,440 to train the best again.
The two processes above need an hour and three quarters on two slow cores. The results are in docs/experiments.md.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from dogvscat.exploring.cell_result import CellResult
from dogvscat.exploring.execution.job import LocalExecutor
from dogvscat.exploring.search.run import Limits, tune
from dogvscat.exploring.search.search import Search, best_config, open_search
from dogvscat.exploring.search.space import SearchSpace
from dogvscat.exploring.training_job import config_name, run_cell
from dogvscat.learning.engine import ComputeSettings
from dogvscat.settings.resolve import with_settings

SPACE = {
    "training.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "training.optimizer": {"choices": ["adam", "sgd"]},
    "training.batch_size": {"choices": [32, 64, 128]},
    "training.label_smoothing": {"low": 0.0, "high": 0.3},
    "training.weight_decay": {"low": 1e-4, "high": 0.3, "log": True},
    "network.dropout": {"low": 0.0, "high": 0.8},
    "network.changes": {"choices": [[], "norm after each conv"]},
    "augmentation.shift": {"low": 0.0, "high": 0.3},
    "augmentation.rotation": {"low": 0.0, "high": 45.0},
    "augmentation.cutout": {"low": 0.0, "high": 0.6},
}
"""Settings of `classic` that hardly change the time of an epoch, in the wide ranges of someone who knows little.
Learning rates as in https://github.com/optuna/optuna-examples/blob/main/pytorch/pytorch_simple.py."""

KINDS = {"tpe with pruning": ("tpe", True), "random, no pruning": ("random", False)}
"""The two methods: sampler, and whether trials are pruned."""

MARKS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the epochs after which the best so far is printed."""

FRESH_SEEDS = (101, 102, 103)
"""Seeds for training the best settings again; no search uses them."""

COLUMNS = (
    *(f"best found after {share:.0%} of the epochs" for share in MARKS),
    "best found in the minutes of random search",
    "settings found after 100% of the epochs, trained again",
)


def main() -> None:
    """Run the remaining searches, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(51, 71))
    parser.add_argument("--budget", type=int, default=120, help="epochs per search")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of a whole trial")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--image-size", type=int, default=32)
    arguments = parser.parse_args()
    base = {
        "data.image_size": arguments.image_size,
        "data.train_subset": arguments.pictures,
        "training.epochs": arguments.epochs,
        "training.early_stopping_patience": 0,
        "training.threads": 1,  # small networks gain little from two threads; run two processes instead
        "training.schedule": "one_cycle",
        "network.width": 0.5,
    }
    space = SearchSpace.model_validate({"recipe": "classic", "base": base, "space": SPACE})
    figures: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}  # one row of figures per seed
    print(
        "| seed | search | trials | completed | epochs | minutes |",
        *(f"{share:.0%} |" for share in MARKS),
        "minutes of random | again |",
    )
    print("|---|---|---|---|---|---|" + "---|" * len(COLUMNS))
    for seed in arguments.seeds:
        settings = {kind: Search(space, sampler, pruning, seed) for kind, (sampler, pruning) in KINDS.items()}
        folders = {kind: arguments.out / f"{sampler}-{seed}" for kind, (sampler, _) in KINDS.items()}
        trials = {kind: search(arguments.photos, settings[kind], folders[kind], arguments.budget) for kind in KINDS}
        seconds_of_random = sum(map(seconds, trials["random, no pruning"]))
        for kind in KINDS:
            accuracies = [best_after(trials[kind], share * arguments.budget, epochs) for share in MARKS]
            accuracies.append(best_after(trials[kind], seconds_of_random, seconds))
            accuracies.append(train_again(arguments.photos, settings[kind], folders[kind]))
            figures[kind].append(accuracies)
            print(table_row(seed, kind, trials[kind], arguments.budget, accuracies), flush=True)
    print_comparison(figures["tpe with pruning"], figures["random, no pruning"])


def search(photos: Path, settings: Search, folder: Path, budget: int) -> list[FrozenTrial]:
    """The trials of a search that has spent its epochs, in order; runs those that are missing."""
    limit = 0
    while True:  # `tune` limits the number of trials, not of epochs: one more trial each time
        study = tune(photos, settings, folder, Limits(limit), lambda message: None, LocalExecutor())
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if sum(map(epochs, trials)) >= budget:
            return trials
        limit = len(trials) + 1


def train_again(photos: Path, settings: Search, folder: Path) -> float:
    """Mean validation accuracy of the best settings of a search, over the fresh seeds."""
    best = best_config(open_search(settings, folder), settings)
    if best is None:  # no trial was completed: no better than guessing
        return 0.5
    configs = [with_settings(best, [f"training.seed={seed}"]) for seed in FRESH_SEEDS]
    results = [
        run_cell(photos, config, folder / "again" / config_name(config), ComputeSettings(threads=1))
        for config in configs
    ]
    return statistics.mean(result.validation_accuracy for result in results if isinstance(result, CellResult))


def epochs(trial: FrozenTrial) -> float:
    """How many epochs a trial was trained."""
    return float(trial.user_attrs.get("epochs", 0))


def seconds(trial: FrozenTrial) -> float:
    """How long a trial took, including building its network."""
    return trial.duration.total_seconds() if trial.duration else 0.0


def best_after(trials: Sequence[FrozenTrial], budget: float, cost: Callable[[FrozenTrial], float]) -> float:
    """Accuracy of the best trial completed within a budget of epochs or seconds; one half, guessing, before that."""
    spent, best = 0.0, 0.5
    for trial in trials:
        spent += cost(trial)
        if spent > budget:
            break
        # A pruned trial costs, but its accuracy is not that of a whole training.
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            best = max(best, trial.value)
    return best


def table_row(seed: int, kind: str, trials: Sequence[FrozenTrial], budget: int, accuracies: Sequence[float]) -> str:
    """One row of the Markdown table."""
    completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
    minutes = sum(map(seconds, trials)) / 60
    spent = min(budget, round(sum(map(epochs, trials))))
    cells = " | ".join(f"{100 * accuracy:.2f}%" for accuracy in accuracies)
    return f"| {seed} | {kind} | {len(trials)} | {completed} | {spent} | {minutes:.1f} | {cells} |"


def print_comparison(tpe: Sequence[Sequence[float]], random: Sequence[Sequence[float]]) -> None:
    """Print TPE less random search in points, paired over seeds: mean, 95% interval, p and wins."""
    print("\n| | difference, points | 95% interval | p, paired t-test | TPE ahead |")
    print("|---|---|---|---|---|")
    for column, name in enumerate(COLUMNS):
        differences = [100 * (ours[column] - theirs[column]) for ours, theirs in zip(tpe, random, strict=True)]
        mean, ahead = statistics.mean(differences), sum(difference > 0 for difference in differences)
        interval, p_value = "-", "-"
        if len(set(differences)) > 1:  # one seed, or equal differences, have no interval
            test = stats.ttest_1samp(differences, 0.0)  # of the differences: the paired t-test
            low, high = test.confidence_interval()
            interval, p_value = f"{low:+.2f} to {high:+.2f}", f"{test.pvalue:.2g}"
        print(f"| {name} | {mean:+.2f} | {interval} | {p_value} | {ahead} of {len(differences)} |")


if __name__ == "__main__":
    main()
