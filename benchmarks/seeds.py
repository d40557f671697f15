"""How accurate is a recipe, and how much does it vary? Train it with several seeds on one split.

    python benchmarks/seeds.py PHOTOS --recipe classic --seeds 1 2 3 --out FOLDER

Each seed is a run folder below FOLDER. Completed runs are not trained again and stopped ones resume, so the command can
be repeated until all are complete. Prints one row per seed, and the mean with its standard deviation.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from dogvscat.learning.train import resume, train
from dogvscat.settings.resolve import resolve_config

FIGURES = ("accuracy", "precision_cat", "recall_cat", "precision_dog", "recall_dog", "expected_calibration_error")


def main() -> None:
    """Train every seed, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipe", default="classic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--neither", type=Path, help="photos that show neither class")
    parser.add_argument("--relabel", type=Path, help="corrections, as `audit --labels` writes them")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    run_dirs = []
    for seed in arguments.seeds:
        run_dir = arguments.out / f"{Path(arguments.recipe).stem}-seed-{seed}"
        run_dirs.append(run_dir)
        if (run_dir / "report.html").exists():  # the report is written last
            continue
        if (run_dir / "config.toml").exists():  # stopped before it was complete
            resume(run_dir, [], _report)
        else:
            settings = [*arguments.settings, f"training.seed={seed}"]
            config = resolve_config(arguments.recipe, None, settings)
            train(arguments.photos, config, run_dir, _report, arguments.relabel, arguments.neither)
    print_table(run_dirs)


def print_table(run_dirs: list[Path]) -> None:
    """A Markdown table: one row per run, then mean and standard deviation over runs."""
    rows = [_load_figures(run_dir) for run_dir in run_dirs]
    print("| run | epochs (best) | minutes | train accuracy | " + " | ".join(FIGURES) + " | n | commit |")
    print("|---" * (len(FIGURES) + 6) + "|")
    for run_dir, row in zip(run_dirs, rows, strict=True):
        cells = [f"{row[name]:.4f}" for name in ("train_accuracy", *FIGURES)]
        start = f"| {run_dir.name} | {row['epochs']} | {row['minutes']:.0f}"
        print(f"{start} | {' | '.join(cells)} | {row['n']} | {row['commit']} |")
    for title, summary in (("mean", statistics.mean), ("standard deviation", statistics.stdev)):
        if len(rows) > 1:  # one run has no standard deviation
            cells = [f"{summary([float(row[name]) for row in rows]):.4f}" for name in ("train_accuracy", *FIGURES)]
            print(f"| {title} | | {summary([row['minutes'] for row in rows]):.0f} | {' | '.join(cells)} | | |")


def _load_figures(run_dir: Path) -> dict[str, Any]:
    """What one row of the table shows, from the files of a completed run."""
    metrics = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    environment = json.loads((run_dir / "environment.json").read_text(encoding="utf-8"))
    history = [line.split(",") for line in (run_dir / "history.csv").read_text(encoding="utf-8").split()[1:]]
    validation = metrics["validation"]["figures"]
    card = json.loads((run_dir / "bundle" / "card.json").read_text(encoding="utf-8"))
    return {
        "epochs": f"{len(history)} ({card['origin']['epoch']})",
        "minutes": sum(float(row[-1]) for row in history) / 60,  # the last column is the seconds of an epoch
        "train_accuracy": metrics["train"]["figures"]["accuracy"]["value"],
        **{name: validation[name]["value"] for name in FIGURES},
        "n": metrics["validation"]["n"],
        "commit": environment["commit"],
    }


def _report(message: str) -> None:
    print(message, flush=True)


if __name__ == "__main__":
    main()
