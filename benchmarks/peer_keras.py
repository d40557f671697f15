"""Is training with this project faster than with plain Keras, from a cold start and per epoch?

    python benchmarks/peer_keras.py PHOTOS --sizes 64 96 128 --out peer.md
    python benchmarks/peer_keras.py PHOTOS --sizes 64 96 --until 0.88 --epochs 60 --sides plain-no-xla

The second command measures how long plain Keras takes to a validation accuracy; `reach.py` measures that of our
recipes.

Plain Keras is `image_dataset_from_directory` with preprocessing layers and `fit`, as the Keras guides show it, on the
same photos, network, batch size and augmentation. Each side runs in its own process, in turns: a cold start (nothing
decoded yet, one epoch with validation) and then warm epochs. The archive is unpacked once for plain Keras, outside of
the times; ours reads the zip as it is. Plain Keras gets no unreadable file, which would stop it.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dogvscat.config import Config
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.reading.sources import open_photos
from dogvscat.settings.resolve import resolve_config

SIDES = {
    "ours": "this project",
    "plain": "as the Keras guides show it, with `jit_compile` at its default",
    "plain-cached": "the same with decoded photos kept in memory by `Dataset.cache()`",
    "plain-no-xla": "cached as well, and compiled with `jit_compile=False`",
}

Outcome = tuple[list[float], list[float], int]
"""For each epoch the time at its end, in seconds since 1970, and its validation accuracy; the number of training
photos."""


def main() -> None:
    """Run both sides in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--epochs", type=int, default=3, help="epochs per run; the first is the cold one")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each side at each size")
    parser.add_argument("--pictures", type=int, default=0, help="training photos, 0 for all")
    parser.add_argument("--until", type=float, help="stop where this validation accuracy is first reached")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--out", type=Path, help="write the table here as well")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        _run_side(arguments)
        return
    if arguments.until and "ours" in arguments.sides:
        parser.error("--until is for the plain sides: leave `ours` out of --sides, and see reach.py")
    with tempfile.TemporaryDirectory() as folder:
        unpacked = _unpack(arguments.photos, Path(folder), arguments.pictures)
        lines = _table_until(arguments, unpacked) if arguments.until else _table(arguments, unpacked)
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(arguments: argparse.Namespace, unpacked: Path) -> list[str]:
    lines = [
        "| px | side | cold start to end of epoch 1, s | a later epoch, s | images/s, later | first side faster by |",
        "|---|---|---|---|---|---|",
    ]
    for size in arguments.sizes:
        measured: dict[str, list[dict[str, float]]] = {side: [] for side in arguments.sides}
        # Sides take turns within a round, so that a machine whose speed drifts affects all of them.
        for _ in range(arguments.rounds):
            for side, results in measured.items():
                results.append(_in_own_process(arguments, unpacked, side, size))
                print(f"{size} px {side}: {results[-1]}", file=sys.stderr, flush=True)
        first = statistics.median(result["epoch"] for result in measured[arguments.sides[0]])
        for side, results in measured.items():
            cold = statistics.median(result["cold"] for result in results)
            epoch = statistics.median(result["epoch"] for result in results)
            speed = results[0]["photos"] / epoch
            lines.append(f"| {size} | {side} | {cold:.1f} | {epoch:.1f} | {speed:.0f} | {epoch / first:.2f}x |")
    return [*lines, "", *(f"- {side}: {SIDES[side]}" for side in arguments.sides)]


def _table_until(arguments: argparse.Namespace, unpacked: Path) -> list[str]:
    lines = [
        f"| px | side | cold start to {arguments.until:.0%} validation, s | epochs | best seen |",
        "|---" * 5 + "|",
    ]
    for size, side in itertools.product(arguments.sizes, arguments.sides):
        measured = _in_own_process(arguments, unpacked, side, size)
        print(f"{size} px {side}: {measured}", file=sys.stderr, flush=True)
        seconds = f"{measured['until']:.0f}" if measured["best"] >= arguments.until else "never"
        lines.append(f"| {size} | {side} | {seconds} | {measured['epochs']} | {measured['best']:.4f} |")
    return lines


def _in_own_process(arguments: argparse.Namespace, unpacked: Path, side: str, size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:  # an empty cache folder: nothing scanned, nothing decoded
        # Ours reads the archive itself, unless both are limited to some of its photos.
        photos = unpacked if side != "ours" or arguments.pictures else arguments.photos
        command = [sys.executable, __file__, str(photos), "--side", side, "--sizes", str(size)]
        command += ["--epochs", str(arguments.epochs)]
        command += ["--until", str(arguments.until)] if arguments.until else []
        environment = {**os.environ, "DOGVSCAT_HOME": home, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["STARTED"] = repr(time.time())  # the imports of the process count in a cold start
        completed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        figures: dict[str, float] = json.loads(completed.stdout.splitlines()[-1])
        return figures


def _unpack(photos: Path, folder: Path, num_photos: int) -> Path:
    """The usable photos of a source as train/validation folders, split as ours splits them."""
    source = open_photos(photos)
    manifest = make_manifest(source, resolve_config("classic").data)
    unpacked = {"train": 0, "validation": 0}
    # The order of hashes mixes the classes and is the same each time.
    rows = sorted((row for row in manifest.rows if row.split in unpacked), key=lambda row: row.sha256)
    for row in rows:
        if num_photos and unpacked[row.split] >= (num_photos if row.split == "train" else num_photos // 8):
            continue
        unpacked[row.split] += 1
        target = folder / row.split / row.label / row.path.replace("/", "_")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read(row.path))
    return folder


def _run_side(arguments: argparse.Namespace) -> None:
    """Train one side in this process and print its figures as JSON."""
    config = resolve_config("classic", None, [f"data.image_size={arguments.sizes[0]}"])
    train = _train_ours if arguments.side == "ours" else _train_plain
    started = float(os.environ["STARTED"])
    ends, accuracies, num_photos = train(arguments.photos, config, arguments)
    later = [end - previous for previous, end in itertools.pairwise(ends)]  # seconds of the epochs after the first
    epoch = statistics.median(later) if later else float("nan")
    figures = {"cold": ends[0] - started, "epoch": epoch, "photos": num_photos}
    print(json.dumps(figures | {"until": ends[-1] - started, "epochs": len(ends), "best": max(accuracies)}))


def _train_ours(photos: Path, config: Config, arguments: argparse.Namespace) -> Outcome:
    from dogvscat.learning.data.batches import BatchLoader
    from dogvscat.learning.data.dataset import Dataset
    from dogvscat.learning.engine import open_engine
    from dogvscat.photos.pixels import cached_pixels_by_size

    source = open_photos(photos)
    manifest = make_manifest(source, config.data)
    dataset = Dataset(manifest, cached_pixels_by_size(source, manifest, config.image_sizes))
    open_engine(0)

    from dogvscat.learning.loop.inference import predict_logits
    from dogvscat.learning.model.networks import build_network
    from dogvscat.learning.model.optimizers import compile_network

    model = build_network(config.network, config.data.image_size)
    compile_network(model, config.training)
    train, validation = dataset.images["train"], dataset.images["validation"]
    loader = BatchLoader(train, config)
    ends, accuracies = [], []
    for epoch in range(arguments.epochs):
        for batch in loader.batches(epoch):
            model.train_on_batch(*batch)
        logits = predict_logits(model, validation, config.data.image_size).positive
        accuracies.append(float(np.mean((logits >= 0) == validation.y_true)))
        ends.append(time.time())
    return ends, accuracies, len(train)


def _train_plain(photos: Path, config: Config, arguments: argparse.Namespace) -> Outcome:
    import keras
    import tensorflow as tf

    size, settings = config.data.image_size, config.augmentation

    def dataset(split: str) -> tf.data.Dataset:
        return keras.utils.image_dataset_from_directory(
            photos / split,
            label_mode="binary",
            image_size=(size, size),
            batch_size=config.training.batch_size,
            shuffle=split == "train",
            seed=0,
            verbose=False,
        )

    train, validation = dataset("train"), dataset("validation")
    num_photos = len(train.file_paths)  # not available any more after cache and prefetch
    if arguments.side != "plain":  # the guides' advice where memory allows: keep decoded photos as float32
        train, validation = train.cache(), validation.cache()
    train, validation = train.prefetch(tf.data.AUTOTUNE), validation.prefetch(tf.data.AUTOTUNE)
    # The same ranges as our augmentation; Keras counts rotation in turns.
    augmentation = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomTranslation(settings.shift, settings.shift),
        keras.layers.RandomRotation(settings.rotation / 360),
        keras.layers.RandomZoom(settings.zoom),
        keras.layers.RandomBrightness(settings.brightness),
        keras.layers.RandomContrast(settings.contrast),
    ]
    # The network of `classic`, written by hand: convolution blocks, then two dense layers.
    blocks = [
        layer
        for filters in (32, 64, 128)
        for layer in (keras.layers.Conv2D(filters, 3, activation="relu"), keras.layers.MaxPooling2D())
    ]
    head = [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    inputs = [keras.Input((size, size, 3)), *augmentation, keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential([*inputs, *blocks, *head])
    # "auto", the default of Keras, compiles the step with XLA wherever it can.
    jit = False if arguments.side == "plain-no-xla" else "auto"
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=jit)
    ends: list[float] = []
    accuracies: list[float] = []

    def note_epoch(epoch: int, logs: dict[str, float]) -> None:
        ends.append(time.time())
        accuracies.append(logs["val_accuracy"])
        model.stop_training = bool(arguments.until) and accuracies[-1] >= arguments.until

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=note_epoch)]
    model.fit(train, validation_data=validation, epochs=arguments.epochs, callbacks=callbacks, verbose=0)
    return ends, accuracies, num_photos


if __name__ == "__main__":
    main()
