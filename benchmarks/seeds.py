"""How good is a recipe, and how much does it vary? Train it with several seeds on one split.

    python benchmarks/seeds.py PHOTOS --recipe classic --seeds 1 2 3 --out FOLDER

Each seed is a run folder below FOLDER; finished ones are not trained again and stopped ones go on, so the command can
be repeated until it is through. Prints a row a seed and the mean with its standard deviation.
"""

import argparse
import json
import statistics
from pathlib import Path

from dogvscat.learning.train import resume, train
from dogvscat.settings import resolve_config

FIGURES = ("accuracy", "precision_cat", "recall_cat", "precision_dog", "recall_dog", "expected_calibration_error")


def main() -> None:
    """Train every seed, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipe", default="classic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--neither", type=Path, help="photos of neither class")
    parser.add_argument("--relabel", type=Path, help="corrections, as `audit --labels` writes them")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    folders = []
    for seed in arguments.seeds:
        folder = arguments.out / f"{Path(arguments.recipe).stem}-seed-{seed}"
        folders.append(folder)
        if (folder / "report.html").exists():
            continue
        if (folder / "config.toml").exists():
            resume(folder, [], _say)
        else:
            settings = [*arguments.settings, f"training.seed={seed}"]
            config = resolve_config(arguments.recipe, None, settings)
            train(arguments.photos, config, folder, _say, arguments.relabel, arguments.neither)
    print_table(folders)


def print_table(folders: list[Path]) -> None:
    """A Markdown table: a row a run, then mean and standard deviation over runs."""
    rows = [_row(folder) for folder in folders]
    print("| run | epochs (best) | minutes | train accuracy | " + " | ".join(FIGURES) + " | n | commit |")
    print("|---" * (len(FIGURES) + 6) + "|")
    for folder, row in zip(folders, rows, strict=True):
        cells = [f"{row[name]:.4f}" for name in ("train_accuracy", *FIGURES)]
        start = f"| {folder.name} | {row['epochs']} | {row['minutes']:.0f}"
        print(f"{start} | {' | '.join(cells)} | {row['n']} | {row['commit']} |")
    for title, summary in (("mean", statistics.mean), ("standard deviation", statistics.stdev)):
        if len(rows) > 1:
            cells = [f"{summary([float(row[name]) for row in rows]):.4f}" for name in ("train_accuracy", *FIGURES)]
            print(f"| {title} | | {summary([row['minutes'] for row in rows]):.0f} | {' | '.join(cells)} | | |")


def _row(folder: Path) -> dict[str, float]:
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    history = [line.split(",") for line in (folder / "history.csv").read_text(encoding="utf-8").split()[1:]]
    validation = metrics["validation"]["figures"]
    card = json.loads((folder / "bundle" / "card.json").read_text(encoding="utf-8"))
    return {
        "epochs": f"{len(history)} ({card['origin']['epoch']})",
        "minutes": sum(float(row[-1]) for row in history) / 60,
        "train_accuracy": metrics["train"]["figures"]["accuracy"]["value"],
        **{name: validation[name]["value"] for name in FIGURES},
        "n": metrics["validation"]["n"],
        "commit": environment["commit"],
    }


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    main()
