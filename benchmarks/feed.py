"""What does feeding cost? A training step fed live against the same step on one fixed batch.

    python benchmarks/loader.py PHOTOS --recipe classic

Both loops run in turns in one process, so that a machine whose speed drifts treats them alike. Prints the median of the
ratios with their range, and what one picture costs to augment.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path

import numpy as np

from dogvscat.learning.data.augmentation import augment
from dogvscat.learning.data.batches import BatchLoader
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import prepare_backend
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.sources import open_photos
from dogvscat.settings import resolve_config


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipe", default="classic")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--steps", type=int, default=40, help="steps of each loop a round")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    config = resolve_config(arguments.recipe, None, arguments.settings)
    source = open_photos(arguments.photos)
    manifest = make_manifest(source, config.data)
    dataset = Dataset(manifest, {size: cached_pixels(source, manifest, size) for size in config.image_sizes})
    prepare_backend(config.training.threads)

    from dogvscat.learning.model.networks import build_network
    from dogvscat.learning.model.optimizers import compile_network

    model = build_network(config.network, config.data.image_size)
    compile_network(model, config.training)
    loader = BatchLoader(dataset.pictures("train"), config)
    fixed = loader.batch(0, 0)
    epochs = (loader.batches(epoch) for epoch in itertools.count())
    live = itertools.chain.from_iterable(epochs)

    def seconds(batches) -> float:
        started = time.perf_counter()
        for batch in itertools.islice(batches, arguments.steps):
            model.train_on_batch(*batch)
        return time.perf_counter() - started

    seconds(live)  # compiles, and fills the queue
    rounds = [(seconds(live), seconds(itertools.repeat(fixed))) for _ in range(arguments.rounds)]
    ratios = [fed / same for fed, same in rounds]
    step = statistics.median(same for _, same in rounds) / arguments.steps
    print(
        f"{arguments.recipe} at {config.data.image_size} px, batch {config.training.batch_size}, "
        f"{arguments.rounds} rounds of {arguments.steps} steps"
    )
    print(f"fixed batch: {1000 * step:.1f} ms a step, {config.training.batch_size / step:.0f} pictures/s")
    print(f"fed live / fixed: median {statistics.median(ratios):.3f}, range {min(ratios):.3f} to {max(ratios):.3f}")
    print(f"augmentation alone: {1e6 * _augmentation_seconds(loader):.0f} microseconds a picture on one thread")


def _augmentation_seconds(loader: BatchLoader) -> float:
    samples = np.arange(512)
    started = time.perf_counter()
    augment(loader.pictures, samples, loader.config.data.image_size, loader.config.augmentation, (0, 0))
    return (time.perf_counter() - started) / len(samples)


if __name__ == "__main__":
    main()
