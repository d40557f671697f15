"""Does every backend of Keras train, resume with equal bits, explain and export alike? How long does a step take?

    pip install jax torch
    python benchmarks/backends.py [PHOTOS] [--recipes classic fast best] [--backends tensorflow jax torch]

All backends start from the same first weights, those of TensorFlow, and see the same batches. Each recipe is trained
for three short epochs of small images, in its own process: twice without a break, and once stopped by Ctrl-C in the
second epoch and resumed. Backends that are not installed are left out. Prints two tables. Without PHOTOS, 200 pictures
are drawn. Run nothing else on the machine meanwhile, because steps are timed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

BACKENDS = {"tensorflow": "tensorflow-cpu", "jax": "jax", "torch": "torch"}
"""The package of each backend. TensorFlow comes first: the others are compared with it."""
SMALL = ("network.neither_output=false", "network.width=0.25", "training.epochs=3", "training.batch_size=8")
RECIPES = {
    "classic": (),
    "fast": ("data.image_size=48", "training.progressive_resizing=[]"),
    "best": ("data.image_size=48", "training.progressive_resizing=[]"),
}
"""Settings that make each recipe quick; between them the recipes use nearly every layer and both optimizers."""
NUM_STEPS, NUM_IMAGES = 10, 16

Row = dict[str, Any]


def main() -> None:
    """Measure each recipe on each backend and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?", help="a folder or zip; drawn pictures by default")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--work", nargs=2, metavar=("PART", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        part, folder = arguments.work
        {"start": _write_start, "measure": _write_measures, "time": _write_step_times}[part](Path(folder), arguments)
        return
    backends = ["tensorflow", *(name for name in BACKENDS if name in arguments.backends and _is_installed(name))]
    backends = list(dict.fromkeys(backends))
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        photos = arguments.photos or _draw_photos(root / "photos")
        rows = [
            row
            for recipe in arguments.recipes
            for row in _compare(recipe, arguments.precision, backends, photos, root / recipe)
        ]
        _print_checks(rows)
        _print_step_times(arguments.recipes, arguments.precision, backends, root)


def _print_checks(rows: list[Row]) -> None:
    print("\n| recipe | precision | backend | seed twice | stopped and resumed | loss of a step | answers | heat map |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        equal = ["equal bits" if row[name] == 0 else f"{row[name]:.1e}" for name in ("again", "resumed")]
        differences = [f"{row[name]:.1e}" for name in ("losses", "answers", "heat_map")]
        cells = [row["recipe"], row["precision"], row["backend"], *equal, *differences]
        print(f"| {' | '.join(cells)} |", flush=True)


def _print_step_times(recipes: list[str], precision: str, backends: list[str], root: Path) -> None:
    print(f"\n| recipe | precision | px | batch | {' | '.join(backends)} |")
    print(f"|{'---|' * (4 + len(backends))}")
    for recipe in recipes:
        times = [_work("time", root / recipe / backend, backend, recipe, precision) for backend in backends]
        cells = [recipe, *(str(times[0][name]) for name in ("precision", "image_size", "batch_size"))]
        cells += [f"{row['milliseconds']:.0f} ms" for row in times]
        print(f"| {' | '.join(cells)} |", flush=True)


def _is_installed(backend: str) -> bool:
    if find_spec(backend) is None:
        print(f"{backend} is not installed and left out", flush=True)
        return False
    print(f"{backend} {version(BACKENDS[backend])}", flush=True)
    return True


def _draw_photos(folder: Path) -> Path:
    _dogvscat("tensorflow", "sample", folder, "--count", 200)
    return folder


# --- One recipe


def _compare(recipe: str, precision: str, backends: list[str], photos: Path, folder: Path) -> list[Row]:
    """Train on each backend; one row per backend."""
    start = folder / "start"
    _work("start", start, "tensorflow", recipe, precision, photos)
    rows: list[Row] = []
    for backend in backends:
        runs = {name: _copy_run(start, folder / backend / name, backend) for name in ("whole", "again", "stopped")}
        for name in ("whole", "again"):
            _dogvscat(backend, "train", "--resume", runs[name])
        _stop_in_second_epoch(backend, runs["stopped"])
        _dogvscat(backend, "train", "--resume", runs["stopped"])
        golden = next((runs["whole"] / "bundle").rglob("*.png"))
        explain = ("explain", golden, "--model", runs["whole"], "--method", "grad-cam", "--layers")
        _dogvscat(backend, *explain, "--out", folder / backend / "explained")
        _dogvscat(backend, "evaluate", runs["whole"], photos)
        _dogvscat(backend, "export", runs["whole"], "--format", "keras", "--out", folder / backend / "keras")
        measures = _work("measure", folder / backend, backend, recipe, precision)
        rows.append(
            {
                "recipe": recipe,
                "backend": backend,
                "precision": precision,
                "again": _difference_of_runs(runs["whole"], runs["again"]),
                "resumed": _difference_of_runs(runs["whole"], runs["stopped"]),
                "losses": _difference(rows, measures, "losses"),
                "heat_map": _difference(rows, measures, "heat_map"),
                "answers": measures["answers"],
                "measures": measures,
            }
        )
        print(f"{recipe} on {backend}: first epochs {measures['history']}", flush=True)
    return rows


def _difference(rows: list[Row], measures: Row, name: str) -> float:
    """The largest difference from TensorFlow's, as a share of the largest value."""
    reference = np.array((rows[0]["measures"] if rows else measures)[name])
    return float(np.max(np.abs(np.array(measures[name]) - reference)) / np.max(np.abs(reference)))


def _difference_of_runs(first: Path, second: Path) -> float:
    """The largest difference of two runs in a variable of network or optimizer; 0 if all bits are equal."""
    arrays = [np.load(run / "checkpoint" / "state.npz") for run in (first, second)]
    names = [name for name in arrays[0].files if name != "state"]
    pairs = [tuple(array[name].astype(np.float64) for array in arrays) for name in names]
    return max(float(np.max(np.abs(a - b), initial=0.0)) for a, b in pairs)


def _copy_run(start: Path, run: Path, backend: str) -> Path:
    """A run that starts from the first weights of another one, on its own backend."""
    shutil.copytree(start, run)
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "backend": backend}))
    return run


# --- Commands, each in its own process


def _environment(backend: str) -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": backend}


def _dogvscat(backend: str, *arguments: object) -> None:
    command = [sys.executable, "-m", "dogvscat", *map(str, arguments)]
    process = subprocess.run(command, env=_environment(backend), capture_output=True, text=True, check=False)
    if process.returncode:
        sys.exit(f"{backend}: dogvscat {' '.join(command[3:])} failed:\n{process.stderr}")


def _stop_in_second_epoch(backend: str, run: Path) -> None:
    """Press Ctrl-C when the first epoch is reported: the process is in the second one by then."""
    command = [sys.executable, "-m", "dogvscat", "train", "--resume", str(run)]
    with subprocess.Popen(command, env=_environment(backend), stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if line.startswith("epoch   1/"):
                process.send_signal(signal.SIGINT)
    if process.returncode != 130:
        sys.exit(f"{backend}: the training did not stop at Ctrl-C, it ended with exit code {process.returncode}")


def _work(part: str, folder: Path, backend: str, recipe: str, precision: str, photos: Path | None = None) -> Row:
    """Run a part of this file on a backend; returns what it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        __file__,
        *([str(photos)] if photos else []),
        "--recipes",
        recipe,
        "--precision",
        precision,
    ]
    subprocess.run([*command, "--work", part, str(folder)], env=_environment(backend), check=True)
    result = folder / f"{part}.json"
    return dict(json.loads(result.read_text())) if result.exists() else {}


# --- What needs Keras


def _write_start(folder: Path, arguments: argparse.Namespace) -> None:
    """A run folder with a checkpoint of the first weights."""
    from dogvscat.learning.engine import open_engine
    from dogvscat.learning.environment import InputPaths
    from dogvscat.learning.inputs import read_dataset
    from dogvscat.learning.new_run import create_run
    from dogvscat.settings.resolve import resolve_config

    (recipe,) = arguments.recipes
    precision = f"training.precision={arguments.precision}"
    config = resolve_config(recipe, None, [*SMALL, *RECIPES[recipe], precision])
    dataset, paths = read_dataset(InputPaths(arguments.photos), None, config, lambda _: None)
    compute = open_engine(config.training.threads, config.training.precision)
    run = create_run(folder, config, dataset, paths, compute)
    from dogvscat.learning.loop.checkpoint import save_checkpoint
    from dogvscat.learning.loop.training import set_up_training

    training = set_up_training(run, config, dataset, compute, lambda _: None)
    save_checkpoint(run.checkpoint_file, training.model, training.state, [])


def _write_measures(folder: Path, arguments: argparse.Namespace) -> None:
    """Losses of the first steps from the same weights, without dropout; the trained network against its graph."""
    from dogvscat.learning.engine import open_engine
    from dogvscat.learning.inputs import reread_dataset
    from dogvscat.learning.run import Run

    run, start = Run(folder / "whole"), Run(folder.parent / "start")
    environment, config = run.load_environment(), run.load_config()
    compute = open_engine(environment["threads"], environment["precision"])
    from dogvscat.bundle.predict.predictor import Predictor
    from dogvscat.judging.decision import Decision
    from dogvscat.learning.interpret.grad_cam import GradCam
    from dogvscat.learning.interpret.layer_maps import load_bundled_network
    from dogvscat.learning.loop.training import set_up_training

    training = set_up_training(start, config, reread_dataset(run, config, environment), compute, lambda _: None)
    for layer in training.model.layers:
        if hasattr(layer, "rate"):  # backends drop other features for the same random state
            layer.rate = 0.0
    losses = [training._train_step(training.loader.batch(0, step), 1e-3)[0] for step in range(NUM_STEPS)]
    pixels = training.validation.pixels(np.arange(NUM_IMAGES), config.data.image_size)
    predictor = Predictor.load(run.folder)
    network = load_bundled_network(predictor.bundle)
    columns = np.asarray(network.predict_on_batch(pixels), np.float64)
    if config.network.flip_averaging:
        columns = (columns + np.asarray(network.predict_on_batch(pixels[:, :, ::-1]), np.float64)) / 2
    calibration = Decision(predictor.card.temperature, predictor.card.bias)  # part of the graph, not of the network
    probabilities = calibration.probabilities(columns[:, 0])
    reference = Predictor.load(folder.parent / "tensorflow" / "whole")  # explained on every backend
    document = {
        "losses": losses,
        "answers": float(np.max(np.abs(probabilities - predictor.probabilities(pixels)))),
        "heat_map": GradCam(reference).evidence(pixels).tolist(),
        "history": [round(row["loss"], 4) for row in run.load_history()],
    }
    (folder / "measure.json").write_text(json.dumps(document))


def _write_step_times(folder: Path, arguments: argparse.Namespace) -> None:
    """The time of a training step of the recipe as it ships, at its first image size."""
    from step import rates

    from dogvscat.learning.engine import open_engine
    from dogvscat.settings.resolve import resolve_config

    (recipe,) = arguments.recipes
    config = resolve_config(recipe, None, [])
    compute = open_engine(0, arguments.precision)
    image_size, batch_size = config.image_size_at(0), config.training.batch_size
    rate = rates(config, image_size, compute.precision)["images_per_second"]
    document = {
        "precision": compute.precision,
        "image_size": image_size,
        "batch_size": batch_size,
        "milliseconds": 1000 * batch_size / rate,
    }
    (folder / "time.json").write_text(json.dumps(document))


if __name__ == "__main__":
    main()
