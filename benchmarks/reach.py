"""How soon does a recipe reach an accuracy, and at what cost?

    python benchmarks/reach.py PHOTOS --recipes classic fast best --out FOLDER

Trains each recipe from a cold start (nothing decoded) in its own process, and writes one table and one figure: time
and PFLOP until a validation accuracy is first reached, the arithmetic rate of the steps as a share of this machine's
float32 matrix product in the same process, time to scan and decode, and peak memory. Completed recipes are not trained
again and stopped ones resume, so the command can be repeated until all are complete. Run nothing else on the machine.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from step import FLOPS_PER_MAC, rates  # benchmarks/step.py

ACCURACIES = (0.88, 0.93, 0.95, 0.96)
"""Validation accuracies whose minutes and PFLOP are printed."""


def main() -> None:
    """Train every recipe in its own process, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["classic", "fast", "best"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--neither", type=Path, help="photos that show neither class; not used for `classic`")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.photos, arguments.one, arguments.settings, arguments.out, arguments.neither)
        return
    for recipe in arguments.recipes:
        folder = arguments.out / Path(recipe).stem
        if not (folder / "measured.json").exists():
            command = [sys.executable, __file__, str(arguments.photos), "--one", recipe, "--out", str(folder)]
            flags = [flag for setting in arguments.settings for flag in ("--set", setting)]
            flags += ["--neither", str(arguments.neither)] if arguments.neither and recipe != "classic" else []
            environment = {**os.environ, "DOGVSCAT_HOME": str(folder / "home")}  # cold: nothing scanned or decoded
            subprocess.run([*command, *flags], env=environment, check=True)
    courses = [Course.load(arguments.out / Path(recipe).stem) for recipe in arguments.recipes]
    print_table(courses)
    draw_courses(arguments.out / "accuracy_over_time.png", courses)


def measure(photos: Path, recipe: str, settings: list[str], folder: Path, neither: Path | None) -> None:
    """Train one recipe and write its time, memory and step rates to `measured.json`."""
    started = time.monotonic()
    from dogvscat.learning.train import resume, train
    from dogvscat.settings.resolve import resolve_config

    config = resolve_config(recipe, None, settings)
    run_folder = folder / "run"
    cold_start = _ColdStart(folder / "cold.json", started)
    if (run_folder / "checkpoint" / "state.npz").exists():
        run = resume(run_folder, [], _report)  # the cold start was noted by the first process
    else:
        run = train(photos, config, run_folder, cold_start.report, neither=neither)

    from dogvscat.learning.model.networks import build_network  # imports Keras, so only after training has set it up

    measured = {
        **cold_start.load(),
        "recipe": recipe,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts it in kB
        "parameters": build_network(config.network, config.data.image_size).count_params(),
        "macs": {str(size): sum(op.macs for op in config.network.operations(size)) for size in config.image_sizes},
        "rates": {str(size): rates(config, size) for size in config.image_sizes},
        "commit": run.load_environment()["commit"],
    }
    (folder / "measured.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")


class _ColdStart:
    """Seconds from the start of the process to the first step, kept in a file over interruptions."""

    def __init__(self, file: Path, started: float) -> None:
        self._file, self._started = file, started

    def report(self, message: str) -> None:
        """The training's reporter: the first step follows the message that starts with "Training"."""
        if message.startswith("Training `"):
            self._file.write_text(json.dumps({"cold_seconds": time.monotonic() - self._started}), encoding="utf-8")
        _report(message)

    def load(self) -> dict[str, float]:
        """The seconds, under the name that `measured.json` uses."""
        noted: dict[str, float] = json.loads(self._file.read_text(encoding="utf-8"))
        return noted


@dataclass(frozen=True)
class Course:
    """A completed training over time."""

    measured: dict[str, Any]
    minutes: np.ndarray
    """Since the start of the cold process, after each epoch."""
    pflops: np.ndarray
    """Spent so far, after each epoch."""
    accuracy: np.ndarray
    """Validation accuracy after each epoch."""
    result: dict[str, Any]
    """Final validation accuracy: value, low, high, n."""

    @classmethod
    def load(cls, folder: Path) -> "Course":
        """From the files that `measure` wrote."""
        from dogvscat.settings.resolve import build_config
        from dogvscat.settings.toml import read_toml

        measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
        card = json.loads((folder / "run" / "bundle" / "card.json").read_text(encoding="utf-8"))
        config = build_config(read_toml(folder / "run" / "config.toml"))
        with (folder / "run" / "history.csv").open(encoding="utf-8") as file:
            history = list(csv.DictReader(file))
        images_per_epoch = card["origin"]["num_train"]
        if config.network.neither_output:  # photos that show neither come on top of the training photos
            images_per_epoch *= 1 + config.training.neither_share
        # Progressive resizing: an epoch costs the arithmetic of the size it is trained at.
        macs = [measured["macs"][str(config.image_size_at(epoch))] for epoch in range(len(history))]
        seconds = measured["cold_seconds"] + np.cumsum([float(row["seconds"]) for row in history])
        return cls(
            measured,
            seconds / 60,
            np.cumsum(macs) * FLOPS_PER_MAC * images_per_epoch / 1e15,
            np.array([float(row["val_accuracy"]) for row in history]),
            card["metrics"]["validation"]["accuracy"],
        )

    def reached(self, accuracy: float) -> str:
        """Minutes and PFLOP until a validation accuracy was first reached."""
        epochs = np.flatnonzero(self.accuracy >= accuracy)
        return f"{self.minutes[epochs[0]]:.1f} / {self.pflops[epochs[0]]:.3f}" if len(epochs) else "never"

    def rates(self) -> str:
        """For each size: images per second, GFLOP/s, share of the matrix product."""
        cells = []
        for size, rate in self.measured["rates"].items():
            gflops = rate["images_per_second"] * FLOPS_PER_MAC * self.measured["macs"][size] / 1e9
            share = gflops / rate["matmul_gflops"]
            cells.append(f"{size} px: {rate['images_per_second']:.0f}, {gflops:.0f}, {share:.0%}")
        return "; ".join(cells)


def print_table(courses: list[Course]) -> None:
    """A Markdown table: one row per recipe."""
    heads = [f"{accuracy:.0%}: min / PFLOP" for accuracy in ACCURACIES]
    heads = ["recipe", "validation accuracy", "parameters", "epochs", "cold start, s", *heads, "all: min / PFLOP"]
    heads += ["images/s, GFLOP/s, share of matrix product", "memory, GB", "commit"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for course in courses:
        measured, result = course.measured, course.result
        cells = [
            measured["recipe"],
            f"{result['value']:.4f} ({result['low']:.4f} to {result['high']:.4f}, n = {result['n']:,})",
            f"{measured['parameters']:,}",
            str(len(course.accuracy)),
            f"{measured['cold_seconds']:.0f}",
            *map(course.reached, ACCURACIES),
            f"{course.minutes[-1]:.1f} / {course.pflops[-1]:.3f}",
            course.rates(),
            f"{measured['peak_memory_bytes'] / 1e9:.1f}",
            measured["commit"],
        ]
        print(f"| {' | '.join(cells)} |")


def draw_courses(path: Path, courses: list[Course]) -> None:
    """Draw the validation accuracy of every recipe over the minutes since its cold start."""
    from matplotlib.ticker import NullLocator, PercentFormatter

    from dogvscat.judging.plotting import new_figure

    with new_figure(path, 8, 5) as figure:
        axes = figure.subplots()
        for course in courses:
            axes.plot(course.minutes, course.accuracy, marker=".", label=course.measured["recipe"])
        axes.set_xscale("log", base=2)  # each doubling of the time has the same width
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("Minutes since a cold start")
        axes.set_yscale("logit")  # near 100%, each halving of the mistakes has about the same height
        axes.set_yticks([0.5, 0.6, 0.7, 0.8, 0.88, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99])
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylabel("Validation accuracy")
        axes.legend(loc="lower right")


def _report(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
