"""How many photos does a recipe need? Train it on more and more of them, and evaluate on the same validation photos.

    python benchmarks/learning_curve.py PHOTOS --out FOLDER
    python benchmarks/learning_curve.py --publish FOLDER/learning_curve.csv

Each training draws its photos from the training split, half of each class, by its seed; a larger draw of a seed
contains the smaller ones. The validation photos are always those of the standard split. Every finished training becomes
a row of FOLDER/learning_curve.csv; the same command again skips finished trainings and resumes one that was stopped.
The second command puts the rows that are finished into the package, and their table into the documents.
"""

import argparse
import csv
import itertools
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from dogvscat import atomic
from dogvscat.judging.learning_curve import ROWS_FILE, CurvePoint, load_points
from dogvscat.labels import LEAVE_OUT
from dogvscat.learning.run import Run
from dogvscat.locks import exclusive
from dogvscat.photos.manifest import Manifest, make_manifest
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.relabel import Correction, write_corrections
from dogvscat.settings.resolve import resolve_config

SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
COLUMNS = ("photos", "seed", "accuracy", "n", "train_accuracy", "minutes", "precision", "commit", "data_digest")
NOTHING_YET = "No training has finished yet."
DOCUMENTS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Train what has no row yet, smallest draws first, then print the table; or publish the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of training photos, even")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--neither", type=Path, help="photos that show neither class")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--publish", type=Path, metavar="CSV", help="put these rows into the package and the documents")
    arguments = parser.parse_args()
    if arguments.publish:
        publish(arguments.publish)
        return
    if not (arguments.photos and arguments.out):
        parser.error("PHOTOS and --out are needed, or --publish")
    flags = ["--recipe", arguments.recipe, *(flag for setting in arguments.settings for flag in ("--set", setting))]
    flags += ["--neither", str(arguments.neither)] if arguments.neither else []
    config = resolve_config(arguments.recipe, None, arguments.settings)
    rows_file = arguments.out / "learning_curve.csv"
    with exclusive(arguments.out):
        manifest = make_manifest(open_photos(arguments.photos), config.data)
        for num_photos, seed in itertools.product(sorted(arguments.sizes), arguments.seeds):
            rows = load_rows(rows_file)
            if any((row["photos"], row["seed"]) == (str(num_photos), str(seed)) for row in rows):
                continue
            run_dir = arguments.out / f"{num_photos}-photos-seed-{seed}"
            train(arguments.photos, run_dir, draw(manifest, num_photos, seed), seed, flags)
            rows.append(measured(run_dir, num_photos, seed))
            atomic.write_csv(rows_file, COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    print(table(load_points(rows_file)))


def draw(manifest: Manifest, num_photos: int, seed: int) -> list[Correction]:
    """A table of corrections that leaves out all training photos but `num_photos`.

    With a smaller training share, the validation photos would change. Leaving photos out keeps the validation photos of
    the standard split, whatever the seed.
    """
    training = manifest.of_split("train")
    if num_photos >= len(training):
        return []
    copies = Counter(row.sha256 for row in training)  # corrections are by content, so copies would be drawn together
    drawn: set[str] = set()
    for label, name in enumerate(manifest.class_names):
        contents = sorted(row.sha256 for row in training if row.label == name and copies[row.sha256] == 1)
        order = np.random.default_rng((seed, label)).permutation(len(contents))
        drawn.update(contents[position] for position in order[: num_photos // 2])
    if len(drawn) != num_photos:
        sys.exit(f"expected an even number of training photos, at most {len(training):,}; received {num_photos:,}")
    return [Correction(row.path, row.sha256, row.label, LEAVE_OUT, "") for row in training if row.sha256 not in drawn]


def train(photos: Path, run_dir: Path, left_out: list[Correction], seed: int, flags: list[str]) -> None:
    """Train in a process of its own, so that no training depends on those before it, or resume it."""
    command = [sys.executable, "-m", "dogvscat", "train"]
    if Run(run_dir).checkpoint_file.exists():
        subprocess.run([*command, "--resume", str(run_dir)], check=True)
        return
    shutil.rmtree(run_dir, ignore_errors=True)  # stopped before its first checkpoint: nothing to resume
    corrections = run_dir.with_suffix(".csv")
    if left_out:
        write_corrections(corrections, left_out)
        flags = [*flags, "--relabel", str(corrections)]
    subprocess.run([*command, str(photos), "--out", str(run_dir), "--seed", str(seed), *flags], check=True)


def measured(run_dir: Path, num_photos: int, seed: int) -> dict[str, Any]:
    """The row of a finished training."""
    run = Run(run_dir)
    metrics, environment = run.load_metrics(), run.load_environment()
    validation = metrics["validation"]["figures"]["accuracy"]
    return {
        "photos": num_photos,
        "seed": seed,
        "accuracy": validation["value"],
        "n": validation["n"],
        "train_accuracy": metrics["train"]["figures"]["accuracy"]["value"],
        "minutes": f"{sum(row['seconds'] for row in run.load_history()) / 60:.1f}",
        "precision": environment["precision"],
        "commit": environment["commit"],
        "data_digest": environment["data_digest"][:16],
    }


def load_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of finished trainings, as text."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def publish(rows_file: Path) -> None:
    """Make these rows the measured curve of the package, and write the table and the sentence of the documents again.

    Raises:
        ValueError: if a document has no place for them.
    """
    rows = sorted(load_rows(rows_file), key=lambda row: (int(row["photos"]), int(row["seed"])))
    atomic.write_csv(ROWS_FILE, COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    for document, text in documents().items():
        atomic.write_text(document, text)


def documents() -> dict[Path, str]:
    """The documents that show the curve, with the text they should have."""
    points = load_points()
    contents = {"results.md": table(points), "use.md": sentence(points)}
    return {DOCUMENTS / name: _filled_in(DOCUMENTS / name, content) for name, content in contents.items()}


def table(points: list[CurvePoint]) -> str:
    """A Markdown table: one row per number of photos."""
    if not points:
        return NOTHING_YET
    lines = [
        "| training photos | seeds | validation accuracy, mean | standard deviation | 95% | training accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for point in points:
        deviation = f"{100 * statistics.stdev(point.accuracies):.1f}" if len(point.accuracies) > 1 else ""
        low, high = interval(point)
        cells = [f"{point.num_photos:,}", str(len(point.accuracies)), f"{100 * point.accuracy:.1f}%", deviation]
        lines.append(f"| {' | '.join(cells)} | {low} to {high} | {100 * point.train_accuracy:.1f}% |")
    return "\n".join(lines)


def interval(point: CurvePoint) -> tuple[str, str]:
    """The 95% interval of the mean over seeds, in percent: Student's; of a single seed Wilson's, over photos."""
    num_seeds = len(point.accuracies)
    if num_seeds == 1:
        wilson = stats.binomtest(round(point.accuracy * point.n), point.n).proportion_ci(0.95, method="wilson")
        low, high = float(wilson.low), float(wilson.high)
    else:
        half_width = stats.t.ppf(0.975, num_seeds - 1) * statistics.stdev(point.accuracies) / num_seeds**0.5
        low, high = max(0.0, point.accuracy - half_width), min(1.0, point.accuracy + half_width)
    return f"{100 * low:.1f}", f"{100 * high:.1f}"


def sentence(points: list[CurvePoint]) -> str:
    """The curve in a few words, as bullet points."""
    if not points:
        return NOTHING_YET
    return "\n".join(f"- {point.num_photos:,} training photos: {100 * point.accuracy:.1f}%" for point in points)


def _filled_in(document: Path, content: str) -> str:
    """A document with new content between its two markers."""
    text = document.read_text(encoding="utf-8")
    before, start, after = text.partition("<!-- learning curve -->\n")
    _, end, rest = after.partition("<!-- end of learning curve -->")
    if not (start and end):
        raise ValueError(f"{document} has no markers of the learning curve")
    return f"{before}{start}\n{content}\n\n{end}{rest}"


if __name__ == "__main__":
    main()
