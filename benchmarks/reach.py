"""How soon does a recipe reach an accuracy, and at what price?

    python benchmarks/reach.py PHOTOS --recipes classic fast best --out FOLDER

Trains each recipe from cold (nothing decoded) in a process of its own, and writes one table: time and PFLOP until a
validation accuracy is first reached, the arithmetic rate of the steps as a share of what this machine's own float32
matrix product reaches in the same process, time to scan and decode, and peak memory. Finished recipes are not trained
again and stopped ones go on, so the command can be repeated until it is through. Give no other work to the machine.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ACCURACIES = (0.88, 0.93, 0.95, 0.96)
_MATRIX = 2048
_TIMED_STEPS = 30


def main() -> None:
    """Train every recipe in its own process, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["classic", "fast", "best"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.photos, arguments.one, arguments.settings, arguments.out)
        return
    for recipe in arguments.recipes:
        folder = arguments.out / Path(recipe).stem
        if not (folder / "measured.json").exists():
            command = [sys.executable, __file__, str(arguments.photos), "--one", recipe, "--out", str(folder)]
            flags = [flag for setting in arguments.settings for flag in ("--set", setting)]
            environment = {**os.environ, "DOGVSCAT_HOME": str(folder / "home")}  # cold: nothing scanned or decoded
            subprocess.run([*command, *flags], env=environment, check=True)
    print_table([arguments.out / Path(recipe).stem for recipe in arguments.recipes])


def measure(photos: Path, recipe: str, settings: list[str], folder: Path) -> None:
    """Train one recipe and write what it cost to `measured.json`."""
    started = time.monotonic()
    from dogvscat.learning.train import resume, train
    from dogvscat.settings import resolve_config

    config = resolve_config(recipe, None, settings)
    run_folder = folder / "run"
    cold = _Cold(folder / "cold.json", started)
    if (run_folder / "checkpoint" / "state.npz").exists():
        run = resume(run_folder, [], _say)
    else:
        run = train(photos, config, run_folder, cold.say)
    measured = {
        **cold.read(),
        "recipe": recipe,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "macs": {str(size): forward_macs(config.network, size) for size in config.image_sizes},
        "rates": {str(size): rates(config, size) for size in config.image_sizes},
        "commit": run.load_environment()["commit"],
    }
    (folder / "measured.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")


class _Cold:
    """Seconds from the start of the process to the first step, kept over interruptions."""

    def __init__(self, file: Path, started: float) -> None:
        self._file, self._started = file, started

    def say(self, sentence: str) -> None:
        """Told what the training says; its first step follows `Training ...`."""
        if sentence.startswith("Training `"):
            self._file.write_text(json.dumps({"cold_seconds": time.monotonic() - self._started}), encoding="utf-8")
        _say(sentence)

    def read(self) -> dict[str, float]:
        """What was written."""
        return json.loads(self._file.read_text(encoding="utf-8"))


def forward_macs(network, image_size: int) -> int:
    """Multiplications of convolutions and dense layers for one picture, counted from the network's shapes."""
    from keras import layers

    from dogvscat.learning.networks import build_network

    total = 0
    for layer in build_network(network, image_size).layers:
        if isinstance(layer, layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def rates(config, image_size: int) -> dict[str, float]:
    """Pictures a second of the training step on one fixed batch, and float32 GFLOP/s of a matrix product, in turns."""
    from dogvscat.learning.networks import build_network
    from dogvscat.learning.optimizers import compile_network

    size = image_size if config.network.name == "plain" else None
    model = build_network(config.network, size, precision=config.training.precision)
    compile_network(model, config.training)
    rng, count = np.random.default_rng(0), config.training.batch_size
    pixels = rng.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8)
    y_true = rng.integers(0, 2, (count, 1)).astype(np.float32)
    model.train_on_batch(pixels, y_true)  # compiles
    _matmul_gflops()
    steps, products = [], []
    for _ in range(_TIMED_STEPS):
        begun = time.perf_counter()
        model.train_on_batch(pixels, y_true)
        steps.append(time.perf_counter() - begun)
        products.append(_matmul_gflops())
    return {"pictures_per_second": count / statistics.median(steps), "matmul_gflops": statistics.median(products)}


def _matmul_gflops() -> float:
    import keras

    matrix = keras.ops.ones((_MATRIX, _MATRIX))
    begun = time.perf_counter()
    np.asarray(keras.ops.matmul(matrix, matrix))
    return 2 * _MATRIX**3 / (time.perf_counter() - begun) / 1e9


def print_table(folders: list[Path]) -> None:
    """A Markdown table: a row a recipe."""
    reached = " | ".join(f"{accuracy:.0%}: min / PFLOP" for accuracy in ACCURACIES)
    print(f"| recipe | cold start, s | {reached} | all: min / PFLOP | at px: pictures/s, GFLOP/s, share | memory, GB |")
    print("|---" * (len(ACCURACIES) + 5) + "|")
    for folder in folders:
        print(_row(folder))


def _row(folder: Path) -> str:
    from dogvscat.settings import build_config, read_toml

    measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    config = build_config(read_toml(folder / "run" / "config.toml"))
    lines = (folder / "run" / "history.csv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split(",")
    history = [dict(zip(names, map(float, line.split(",")), strict=True)) for line in lines[1:]]
    card = json.loads((folder / "run" / "bundle" / "card.json").read_text(encoding="utf-8"))
    num_train = card["origin"]["num_train"]
    seconds = measured["cold_seconds"] + np.cumsum([row["seconds"] for row in history])
    flops = np.cumsum(
        [training_flops(measured["macs"], config.image_size_at(e)) * num_train for e in range(len(history))]
    )
    cells = []
    for accuracy in ACCURACIES:
        at = next((i for i, row in enumerate(history) if row["val_accuracy"] >= accuracy), None)
        cells.append("never" if at is None else f"{seconds[at] / 60:.1f} / {flops[at] / 1e15:.3f}")
    rate = "; ".join(_rate(measured, size) for size in measured["rates"])
    return (
        f"| {measured['recipe']} | {measured['cold_seconds']:.0f} | {' | '.join(cells)} "
        f"| {seconds[-1] / 60:.1f} / {flops[-1] / 1e15:.3f} | {rate} | {measured['peak_memory_bytes'] / 1e9:.1f} |"
    )


def training_flops(macs: dict[str, int], image_size: int) -> int:
    """FLOPs to learn from one picture: forward, and twice that backward; two to a multiplication with its addition."""
    return 6 * macs[str(image_size)]


def _rate(measured: dict, size: str) -> str:
    rate = measured["rates"][size]
    gflops = rate["pictures_per_second"] * training_flops(measured["macs"], int(size)) / 1e9
    return f"{size}: {rate['pictures_per_second']:.0f}, {gflops:.0f}, {gflops / rate['matmul_gflops']:.0%}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
