"""Does a training step, and an epoch, take as long as at another commit?

    python benchmarks/training_time.py ../dogvscat-before . --photos PHOTOS --recipe fast --measure step epoch --pairs 3

Both checkouts train in turns, each in a process of its own, with the same Python. A step is the median of several
steps on a fixed batch (`benchmarks/step.py` of the checkout). An epoch is the fastest one after the first, which
compiles: reading, augmentation and validation are part of it. Prints one ratio per pair, after divided by before. Run
nothing else on the machine meanwhile.

`--together` suits a machine whose speed drifts: both checkouts run at the same time, each with one thread on a CPU of
its own, and change CPUs from pair to pair (Linux only). An epoch is then the median of those after the first.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SIZES = {"classic": 64, "fast": 96, "best": 96}
"""Image sizes in pixels."""
STEP = """
import importlib, importlib.util, sys
sys.path.insert(0, "benchmarks")
import step
step._TIMED_STEPS = int(sys.argv[3])
is_redesigned = importlib.util.find_spec("dogvscat.learning.engine")
threads = int(sys.argv[4])
config = importlib.import_module(f"dogvscat.settings{'.resolve' if is_redesigned else ''}").resolve_config(sys.argv[1])
if is_redesigned:
    from dogvscat.learning.engine import open_engine
    rate = step.rates(config, int(sys.argv[2]), open_engine(threads, config.training.precision).precision)
else:  # before the redesign
    importlib.import_module("dogvscat.learning.backend").prepare_backend(threads)
    rate = step.rates(config, int(sys.argv[2]))
print("rate", rate.get("images_per_second") or rate["pictures_per_second"])
"""


def main() -> None:
    """Time both checkouts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--recipe", choices=SIZES, nargs="+", default=list(SIZES))
    parser.add_argument("--measure", choices=MEASURES, nargs="+", default=list(MEASURES))
    parser.add_argument("--together", action="store_true", help="both checkouts at the same time, one CPU each")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="timed steps per process")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    print("| recipe | measure | before | after | ratio per pair | median ratio |\n|---|---|---|---|---|---|")
    measure_pair = together if arguments.together else alternating
    for recipe in arguments.recipe:
        for name in arguments.measure:
            measure = MEASURES[name]
            report(recipe, name, [measure_pair(arguments, pair, measure, recipe) for pair in range(arguments.pairs)])


def alternating(
    arguments: argparse.Namespace, pair: int, measure: Callable[..., float], recipe: str
) -> tuple[float, float]:
    """The measure of both checkouts, before and after; every second pair starts with the later one."""
    order = [arguments.before, arguments.after][:: -1 if pair % 2 else 1]
    values = {checkout: measure(checkout.resolve(), recipe, arguments) for checkout in order}
    return values[arguments.before], values[arguments.after]


def together(
    arguments: argparse.Namespace, pair: int, measure: Callable[..., float], recipe: str
) -> tuple[float, float]:
    """The measure of both checkouts, before and after, taken at the same time; they change CPUs from pair to pair."""
    cpus = sorted(os.sched_getaffinity(0))[:2][:: -1 if pair % 2 else 1]
    with ThreadPoolExecutor() as pool:
        before, after = (
            pool.submit(measure, checkout.resolve(), recipe, arguments, cpu)
            for checkout, cpu in zip((arguments.before, arguments.after), cpus, strict=True)
        )
        return before.result(), after.result()


def report(recipe: str, measure: str, pairs: list[tuple[float, float]]) -> None:
    """One row of the table."""
    before, after = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = [after / before for before, after in pairs]
    cells = [recipe, measure, f"{before:.4g}", f"{after:.4g}", " ".join(f"{ratio:.2f}" for ratio in ratios)]
    print(f"| {' | '.join(cells)} | {statistics.median(ratios):.2f} |", flush=True)


def step_seconds(checkout: Path, recipe: str, arguments: argparse.Namespace, cpu: int | None = None) -> float:
    """Seconds of a training step per 100 images, on all CPUs or on one."""
    output = run(checkout, cpu, "-c", STEP, recipe, str(SIZES[recipe]), str(arguments.steps), str(num_threads(cpu)))
    return 100 / float(output.split("rate ")[1])


def epoch_seconds(checkout: Path, recipe: str, arguments: argparse.Namespace, cpu: int | None = None) -> float:
    """Seconds of an epoch after the first, on all CPUs or on one."""
    settings = [f"training.epochs={arguments.epochs}", f"data.image_size={SIZES[recipe]}"]
    settings += ["training.progressive_resizing=[]", f"training.threads={num_threads(cpu)}"]
    flags = [flag for setting in settings for flag in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        photos = str(arguments.photos.resolve())
        run(checkout, cpu, "-m", "dogvscat", "train", photos, "--out", str(out), "--recipe", recipe, *flags)
        seconds = later_epochs(out)
    return min(seconds) if cpu is None else statistics.median(seconds)


def num_threads(cpu: int | None) -> int:
    """Threads for all CPUs, 0, or for one."""
    return 0 if cpu is None else 1


def later_epochs(out: Path) -> list[float]:
    """Seconds of each epoch of a run but the first."""
    with (out / "history.csv").open(newline="") as table:
        return [float(row["seconds"]) for row in list(csv.DictReader(table))[1:]]


def run(checkout: Path, cpu: int | None, *arguments: str) -> str:
    """The standard output of Python with the package of a checkout, on all CPUs or on one."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [*([] if cpu is None else ["taskset", "-c", str(cpu)]), sys.executable, *arguments]
    return subprocess.run(
        command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout


MEASURES = {"step": step_seconds, "epoch": epoch_seconds}

if __name__ == "__main__":
    main()
