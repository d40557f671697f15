"""Batches of training images, prepared on another thread while the network computes."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogvscat.config import Config
from dogvscat.judging.plotting import image_grid
from dogvscat.learning.data.augmentation import augment, cutmix
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.learning.data.random import stateless_permutation

_BATCHES_AHEAD = 4
_PREVIEWED_IMAGES = _PREVIEWED_EPOCHS = 5


class Batch(NamedTuple):
    """The input of one step."""

    pixels: np.ndarray
    """uint8 (num_images, image_size, image_size, 3)."""
    y_true: np.ndarray
    """float32 (num_images, 1), 0 or 1, or between where images were mixed. With images that show neither class,
    (num_images, 2): the second column is 1 for these images and 0 for all others."""
    weights: np.ndarray
    """float32 (num_images, 1), how much each image counts in the loss; 1 on average."""


@dataclass(frozen=True)
class BatchLoader:
    """All batches of a training. Each is a function of (epoch, step) only, so that a resumed run gets the same ones."""

    images: LabeledImages
    config: Config
    class_weights: tuple[float, float] = (1.0, 1.0)
    """Of the negative and the positive class."""
    neither: LabeledImages | None = None
    """Images that show neither class; some of them join every batch."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the images; the last batch may be smaller."""
        return -(-len(self.images) // self.config.training.batch_size)

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of one step, both counted from 0."""
        settings, images = self.config.training, self.images
        order = stateless_permutation(settings.seed, epoch, len(images))
        samples = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        key = (settings.seed, epoch)
        pixels = augment(images, samples, self.config.image_size_at(epoch), self.config.augmentation, key)
        y_true = images.y_true[samples]
        weights = np.asarray(self.class_weights, dtype=np.float32)[y_true]
        pixels, mixed_labels = cutmix(pixels, y_true, samples, self.config.augmentation, key)
        batch = Batch(pixels, mixed_labels[:, None], weights[:, None])
        return batch if self.neither is None else self._with_neither(batch, self.neither, epoch, step)

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on, in order, a few of them prepared ahead."""
        pool = ThreadPoolExecutor(1)
        ahead: deque[Future[Batch]] = deque()
        try:
            for step in range(first_step, self.steps_per_epoch):
                ahead.append(pool.submit(self.batch, epoch, step))
                if len(ahead) > _BATCHES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _with_neither(self, batch: Batch, neither: LabeledImages, epoch: int, step: int) -> Batch:
        """The batch, followed by some images that show neither class."""
        settings = self.config.training
        count = min(len(neither), max(1, round(settings.neither_share * settings.batch_size)))
        # There are fewer or more of these images than an epoch needs, so they have their own passes: each goes through
        # all of them in a new order, `count` per step. The number of steps so far gives the pass and the part of it.
        pass_number, part = divmod(epoch * self.steps_per_epoch + step, len(neither) // count)
        seed = settings.seed + 1  # else these images and those of the classes would be changed in the same way
        order = stateless_permutation(seed, pass_number, len(neither))
        samples = order[part * count : (part + 1) * count]
        size = self.config.image_size_at(epoch)
        pixels = augment(neither, samples, size, self.config.augmentation, (seed, pass_number))
        is_neither = np.repeat(np.array([0, 1], dtype=np.float32), [len(batch.pixels), count])
        y_true = np.concatenate([batch.y_true[:, 0], np.zeros(count, dtype=np.float32)])
        return Batch(
            np.concatenate([batch.pixels, pixels]),
            np.stack([y_true, is_neither], axis=1),  # (num_images, 2)
            np.concatenate([batch.weights, np.ones((count, 1), dtype=np.float32)]),
        )


def balanced_class_weights(y_true: np.ndarray) -> tuple[float, float]:
    """Weights of the negative and the positive class with which both count equally in the loss (King and Zeng 2001).

    Args:
        y_true: int64 (num_images,), 0 or 1, both present.
    """
    # n / (2 n_class): together the images of each class weigh n / 2, and the mean weight is 1. The loss is weighted
    # instead of drawing the smaller class more often, so that each image is still seen once per epoch.
    counts = np.bincount(y_true, minlength=2)
    negative, positive = len(y_true) / (2.0 * counts)
    return float(negative), float(positive)


def write_augmentation_preview(file: Path, loader: BatchLoader, note: str | None) -> None:
    """Draw a few training images, each as several epochs see it; an earlier file is kept.

    Args:
        file: The PNG.
        loader: The batches of the training.
        note: Words that must be seen with the images.

    Raises:
        WriteError: if it cannot be written.
    """
    if file.exists():
        return
    settings, image_size = loader.config.augmentation, loader.config.data.image_size
    samples = np.linspace(0, len(loader.images) - 1, _PREVIEWED_IMAGES).astype(np.int64)
    columns = []
    for epoch in range(_PREVIEWED_EPOCHS):
        key = (loader.config.training.seed, epoch)
        augmented = augment(loader.images, samples, image_size, settings, key)
        columns.append(cutmix(augmented, loader.images.y_true[samples], samples, settings, key)[0])
    grid = np.stack(columns, axis=1).reshape(-1, image_size, image_size, 3)  # row by row
    image_grid(file, grid, [], _PREVIEWED_EPOCHS, "Each row: one image as five epochs see it", note)
