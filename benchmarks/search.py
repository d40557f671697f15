"""Does TPE with pruning find better settings than random search without, at equal cost? Several seeds of both, paired.

    python benchmarks/search.py PHOTOS --out FOLDER --seeds $(seq 51 2 69) &
    python benchmarks/search.py PHOTOS --out FOLDER --seeds $(seq 52 2 70); wait
    python benchmarks/search.py PHOTOS --out FOLDER

Both search the same space and stop once they have spent the same number of epochs, which cost nearly the same here: one
image size, one number of pictures, the same convolutions. Epochs and not seconds decide, so that whoever else uses the
machine does not matter. An epoch of a trial that is cut short counts like any other. The best accuracy after so many
epochs is that of the best trial that was finished by then. Many short trials build more networks than a few long ones,
so the minutes are told as well, and what each search had found in the minutes that random search took. The best of
each search is then trained again with seeds that had no part in it, since the best of many flatters. Seeds and trials
that are finished are not run again: repeat the command until it is through, then without `--seeds` for the table of
all.

The default is `classic` with half of its filters, 2,000 training pictures at 32 px, 12 epochs a trial at most, 120
epochs a search (10 whole trials), and twenty seeds of both samplers: 4,800 epochs, and 1,440 to train the best again;
side by side an hour and three quarters on two slow cores. What came out is in docs/experiments.md.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from dogvscat.exploring.execution.local import LocalExecutor
from dogvscat.exploring.search.run import Limits, tune
from dogvscat.exploring.search.search import Search, best_config, open_search
from dogvscat.exploring.search.space import SearchSpace
from dogvscat.exploring.study.plan import config_name
from dogvscat.exploring.training_job import CellResult, run_cell
from dogvscat.learning.run.create import ComputeSettings
from dogvscat.settings import changed

SPACE = {
    "training.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "training.optimizer": {"choices": ["adam", "sgd"]},
    "training.batch_size": {"choices": [32, 64, 128]},
    "training.label_smoothing": {"low": 0.0, "high": 0.3},
    "training.weight_decay": {"low": 1e-4, "high": 0.3, "log": True},
    "network.dropout": {"low": 0.0, "high": 0.8},
    "network.batch_normalization": {"choices": [False, True]},
    "augmentation.shift": {"low": 0.0, "high": 0.3},
    "augmentation.rotation": {"low": 0.0, "high": 45.0},
    "augmentation.cutout": {"low": 0.0, "high": 0.6},
}
"""Settings of `classic` that cost little, so that an epoch is an epoch. Wide, as for somebody who knows little:
learning rates as in https://github.com/optuna/optuna-examples/blob/main/pytorch/pytorch_simple.py."""

KINDS = {"tpe with pruning": ("tpe", True), "random, no pruning": ("random", False)}
MARKS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the cost at which the best so far is told."""

FRESH_SEEDS = (101, 102, 103)
COLUMNS = (
    *(f"best found after {share:.0%} of the epochs" for share in MARKS),
    "best found in the minutes of random search",
    "settings found after 100% of the epochs, trained again",
)


def main() -> None:
    """Run what is left, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(51, 71))
    parser.add_argument("--budget", type=int, default=120, help="epochs a search")
    parser.add_argument("--epochs", type=int, default=12, help="of a whole trial")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--image-size", type=int, default=32)
    arguments = parser.parse_args()
    base = {
        "data.image_size": arguments.image_size,
        "data.train_subset": arguments.pictures,
        "training.epochs": arguments.epochs,
        "training.early_stopping_patience": 0,
        "training.threads": 1,  # small networks gain little from two, two processes do
        "training.schedule": "one_cycle",
        "network.filters": [16, 32, 64],
    }
    space = SearchSpace.model_validate({"recipe": "classic", "base": base, "space": SPACE})
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    print(
        "| seed | search | trials | finished | epochs | minutes |",
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
            best = [best_after(trials[kind], share * arguments.budget, epochs) for share in MARKS]
            best.append(best_after(trials[kind], seconds_of_random, seconds))
            best.append(trained_again(arguments.photos, settings[kind], folders[kind]))
            found[kind].append(best)
            print(row(seed, kind, trials[kind], arguments.budget, best), flush=True)
    print_comparison(found["tpe with pruning"], found["random, no pruning"])


def search(photos: Path, settings: Search, folder: Path, budget: int) -> list[FrozenTrial]:
    """The trials of a search that has spent its epochs, in order; what is left of it is run."""
    limit = 0
    while True:
        study = tune(photos, settings, folder, Limits(limit), lambda sentence: None, LocalExecutor())
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if sum(map(epochs, trials)) >= budget:
            return trials
        limit = len(trials) + 1


def trained_again(photos: Path, settings: Search, folder: Path) -> float:
    """Mean accuracy of the best settings of a search with seeds that had no part in it."""
    best = best_config(open_search(settings, folder), settings)
    if best is None:
        return 0.5
    cells = [changed(best, [f"training.seed={seed}"]) for seed in FRESH_SEEDS]
    results = [
        run_cell(photos, cell, folder / "again" / config_name(cell), ComputeSettings(threads=1)) for cell in cells
    ]
    return statistics.mean(result.validation_accuracy for result in results if isinstance(result, CellResult))


def epochs(trial: FrozenTrial) -> float:
    """What a trial cost in passes over the pictures."""
    return float(trial.user_attrs.get("epochs", 0))


def seconds(trial: FrozenTrial) -> float:
    """What a trial cost in time, all of it: building its network as well."""
    return trial.duration.total_seconds() if trial.duration else 0.0


def best_after(trials: Sequence[FrozenTrial], budget: float, cost: Callable[[FrozenTrial], float]) -> float:
    """Accuracy of the best trial that was finished at so much cost; one half, guessing, before the first."""
    spent, best = 0.0, 0.5
    for trial in trials:
        spent += cost(trial)
        if spent > budget:
            break
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            best = max(best, trial.value)
    return best


def row(seed: int, kind: str, trials: Sequence[FrozenTrial], budget: int, best: Sequence[float]) -> str:
    """A row of the Markdown table."""
    finished = sum(trial.state == TrialState.COMPLETE for trial in trials)
    minutes = sum(map(seconds, trials)) / 60
    spent = min(budget, round(sum(map(epochs, trials))))
    cells = " | ".join(f"{100 * accuracy:.2f} %" for accuracy in best)
    return f"| {seed} | {kind} | {len(trials)} | {finished} | {spent} | {minutes:.1f} | {cells} |"


def print_comparison(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> None:
    """TPE less random search, in points, paired over seeds: mean, 95% interval, p and wins."""
    print("\n| | difference, points | 95% interval | p, paired t-test | TPE ahead |")
    print("|---|---|---|---|---|")
    for column, name in enumerate(COLUMNS):
        pairs = [100 * (one[column] - other[column]) for one, other in zip(first, second, strict=True)]
        mean, ahead = statistics.mean(pairs), sum(pair > 0 for pair in pairs)
        between, p_value = "-", "-"
        if len(pairs) > 1 and len(set(pairs)) > 1:
            test = stats.ttest_1samp(pairs, 0.0)
            low, high = test.confidence_interval()
            between, p_value = f"{low:+.2f} to {high:+.2f}", f"{test.pvalue:.2g}"
        print(f"| {name} | {mean:+.2f} | {between} | {p_value} | {ahead} of {len(pairs)} |")


if __name__ == "__main__":
    main()
