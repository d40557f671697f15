"""The network as it is judged and shipped: float32, at the judged size, batch normalisation measured anew."""

import keras
import numpy as np

from dogvscat.config import Config
from dogvscat.learning.batches import LabelledPictures
from dogvscat.learning.checkpoint import read_variables, write_variables
from dogvscat.learning.networks import averaged_over_flips, build_network

_RECALIBRATED_AT_ONCE = 250


def final_network(trained: keras.Model, config: Config, train: LabelledPictures) -> keras.Model:
    """A network with the trained weights that answers as the bundle will.

    Args:
        trained: Of any size and precision.
        config: The run's.
        train: Training pictures, for the means and variances of batch normalisation if
            `training.recalibrated_pictures` asks for them.

    Returns:
        A float32 network for `data.image_size`, averaging over flips if `network.flip_averaging` says so.
    """
    size = config.data.image_size
    network = build_network(config.network, size)
    write_variables(network.weights, read_variables(trained.weights))
    if config.training.recalibrated_pictures:
        samples = np.linspace(0, len(train) - 1, config.training.recalibrated_pictures).astype(np.int64)
        recalibrate(network, [train.pixels(few, size) for few in _parts(samples)])
    return averaged_over_flips(network) if config.network.flip_averaging else network


def recalibrate(network: keras.Model, batches: list[np.ndarray]) -> None:
    """Replace the moving means and variances of batch normalisation by those of some pictures.

    The network saw pictures of other sizes and changed by augmentation; statistics of plain pictures at the judged size
    fit it better (Touvron et al., Fixing the train-test resolution discrepancy, 2019).

    Args:
        network: Changed in place.
        batches: uint8 (num_images, image_size, image_size, 3) each, equally large.
    """
    normalizations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    moving = [variable for layer in normalizations for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0  # so that each call leaves its own batch's statistics
    sums = [np.zeros(variable.shape) for variable in moving]
    for batch in batches:
        network(batch, training=True)
        for total, variable in zip(sums, moving, strict=True):
            total += np.asarray(variable)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
    write_variables(moving, [(total / len(batches)).astype(np.float32) for total in sums])


def _parts(samples: np.ndarray) -> list[np.ndarray]:
    return np.array_split(samples, max(1, len(samples) // _RECALIBRATED_AT_ONCE))
