"""How much longer does a training step take because it must be fed with augmented images?

    python benchmarks/feed.py PHOTOS --recipe classic

Compares the step fed live with the same step on one fixed batch. Both loops run in turns in one process, so that a
machine whose speed drifts affects both. Prints the median of the ratios with their range, and the cost of augmenting
one image.
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
from dogvscat.learning.engine import open_engine
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels_by_size
from dogvscat.photos.reading.sources import open_photos
from dogvscat.settings.resolve import resolve_config


def main() -> None:
    """Measure and print the ratio, the step and the augmentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipe", default="classic")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--steps", type=int, default=40, help="steps of each loop per round")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    config = resolve_config(arguments.recipe, None, arguments.settings)
    source = open_photos(arguments.photos)
    manifest = make_manifest(source, config.data)
    dataset = Dataset(manifest, cached_pixels_by_size(source, manifest, config.image_sizes))
    open_engine(config.training.threads)

    from dogvscat.learning.model.networks import build_network
    from dogvscat.learning.model.optimizers import compile_network

    model = build_network(config.network, config.data.image_size)
    compile_network(model, config.training)
    loader = BatchLoader(dataset.images["train"], config)
    fixed = loader.batch(0, 0)
    # One endless stream: the next epoch's batches are prepared while this one's last steps run, as in training.
    epochs = (loader.batches(epoch) for epoch in itertools.count())
    live = itertools.chain.from_iterable(epochs)

    def seconds(batches) -> float:
        started = time.perf_counter()
        for batch in itertools.islice(batches, arguments.steps):
            model.train_on_batch(*batch)
        return time.perf_counter() - started

    seconds(live)  # not measured: compiles the step and fills the queue of batches
    # Live and fixed alternate; the ratio of a round cancels the speed of the machine at that time.
    rounds = [(seconds(live), seconds(itertools.repeat(fixed))) for _ in range(arguments.rounds)]
    ratios = [fed / same for fed, same in rounds]
    step = statistics.median(same for _, same in rounds) / arguments.steps
    print(
        f"{arguments.recipe} at {config.data.image_size} px, batch {config.training.batch_size}, "
        f"{arguments.rounds} rounds of {arguments.steps} steps"
    )
    print(f"fixed batch: {1000 * step:.1f} ms per step, {config.training.batch_size / step:.0f} images/s")
    print(f"fed live / fixed: median {statistics.median(ratios):.3f}, range {min(ratios):.3f} to {max(ratios):.3f}")
    print(f"augmentation only: {1e6 * _augmentation_seconds(loader):.0f} microseconds per image on one thread")


def _augmentation_seconds(loader: BatchLoader) -> float:
    """Seconds to augment one image, without the network."""
    samples = np.arange(512)  # indices of the first 512 training images
    started = time.perf_counter()
    augment(loader.images, samples, loader.config.data.image_size, loader.config.augmentation, (0, 0))
    return (time.perf_counter() - started) / len(samples)


if __name__ == "__main__":
    main()
