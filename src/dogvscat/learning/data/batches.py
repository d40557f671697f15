"""Batches of pictures for training and for judging, prepared on another thread while the network computes."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dogvscat.config import Config
from dogvscat.learning.data.augmentation import augment, cutmix
from dogvscat.learning.data.dataset import LabelledImages
from dogvscat.learning.data.random import shuffled

_BATCHES_AHEAD = 4


class Batch(NamedTuple):
    """One step's input."""

    pixels: np.ndarray
    """uint8 (num_images, image_size, image_size, 3)."""
    y_true: np.ndarray
    """float32 (num_images, 1), 0 or 1, or between where pictures were mixed. Where photos of neither take part, a
    second column is 1 for them, else 0."""
    weights: np.ndarray
    """float32 (num_images, 1), how much each picture counts; 1 on average."""


@dataclass(frozen=True)
class BatchLoader:
    """All batches of a training, each a function of (epoch, step) alone."""

    pictures: LabelledImages
    config: Config
    class_weights: tuple[float, float] = (1.0, 1.0)
    neither: LabelledImages | None = None
    """Photos of neither class, some of which join every batch."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass; the last batch may be smaller."""
        return -(-len(self.pictures) // self.config.training.batch_size)

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of one step, both counted from 0."""
        order = shuffled(self.config.training.seed, epoch, len(self.pictures))
        return self._batch(order, epoch, step)

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from a step on, in order, a few prepared ahead."""
        order = shuffled(self.config.training.seed, epoch, len(self.pictures))
        pool = ThreadPoolExecutor(1)
        ahead: deque[Future[Batch]] = deque()
        try:
            for step in range(first_step, self.steps_per_epoch):
                ahead.append(pool.submit(self._batch, order, epoch, step))
                if len(ahead) > _BATCHES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batch(self, order: np.ndarray, epoch: int, step: int) -> Batch:
        settings = self.config.training
        samples = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        size = self.config.image_size_at(epoch)
        pixels = augment(self.pictures, samples, size, self.config.augmentation, (settings.seed, epoch))
        y_true = self.pictures.y_true[samples]
        weights = np.asarray(self.class_weights, dtype=np.float32)[y_true]
        pixels, mixed = cutmix(pixels, y_true, samples, self.config.augmentation, (settings.seed, epoch))
        batch = Batch(pixels, mixed[:, None], weights[:, None])
        return batch if self.neither is None else self._joined(batch, self.neither, epoch, step)

    def _joined(self, batch: Batch, neither: LabelledImages, epoch: int, step: int) -> Batch:
        """A batch with photos of neither behind it. They are gone through over and over, in an order of their own."""
        settings = self.config.training
        count = min(len(neither), max(1, round(settings.neither_share * settings.batch_size)))
        turn, place = divmod(epoch * self.steps_per_epoch + step, len(neither) // count)
        samples = shuffled(settings.seed + 1, turn, len(neither))[place * count : (place + 1) * count]
        size = self.config.image_size_at(epoch)
        pixels = augment(neither, samples, size, self.config.augmentation, (settings.seed + 1, turn))
        is_neither = np.repeat(np.array([0, 1], dtype=np.float32), [len(batch.pixels), count])
        y_true = np.concatenate([batch.y_true[:, 0], np.zeros(count, dtype=np.float32)])
        return Batch(
            np.concatenate([batch.pixels, pixels]),
            np.stack([y_true, is_neither], axis=1),
            np.concatenate([batch.weights, np.ones((count, 1), dtype=np.float32)]),
        )


def balanced_class_weights(y_true: np.ndarray) -> tuple[float, float]:
    """Weights that make both classes count alike and average 1 over the pictures (King and Zeng 2001).

    Args:
        y_true: int64 (num_pictures,), 0 or 1, both present.
    """
    counts = np.bincount(y_true, minlength=2)
    negative, positive = len(y_true) / (2.0 * counts)
    return float(negative), float(positive)
