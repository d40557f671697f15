"""The network as it is judged and shipped: float32, averaged weights, batch normalisation measured anew."""

import keras
import numpy as np

from dogvscat.config import Config
from dogvscat.learning.data.dataset import LabelledImages
from dogvscat.learning.loop.checkpoint import Weights, read_variables, write_variables
from dogvscat.learning.model.networks import averaged_over_flips, build_network

_RECALIBRATED_AT_ONCE = 250


def final_network(trained: keras.Model, config: Config, train: LabelledImages) -> keras.Model:
    """A network with the trained weights that answers as the bundle will.

    Args:
        trained: Of any size and precision, with the weights to judge.
        config: The run's.
        train: Training pictures, for the statistics of batch normalisation.

    Returns:
        A float32 network for `data.image_size`, averaging over flips if `network.flip_averaging` says so.
    """
    network = build_network(config.network, config.data.image_size)
    write_variables(network.weights, read_variables(trained.weights))
    recalibrate(network, train, config.training.recalibrated_pictures, config.data.image_size)
    return averaged_over_flips(network) if config.network.flip_averaging else network


def averaged_weights(model: keras.Model) -> Weights:
    """The weights of a compiled network, as moving averages over the steps if its optimizer keeps them."""
    if not model.optimizer.use_ema:
        return read_variables(model.weights)
    latest = read_variables(model.trainable_variables)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    averaged = read_variables(model.weights)
    write_variables(model.trainable_variables, latest)
    return averaged


def recalibrate(network: keras.Model, train: LabelledImages, num_pictures: int, image_size: int) -> None:
    """Replace the moving means and variances of batch normalisation by those of some unchanged training pictures.

    The network learned from pictures of other sizes and changed by augmentation, perhaps with other weights than its
    averaged ones; statistics of plain pictures at the judged size fit better (Touvron et al., Fixing the train-test
    resolution discrepancy, 2019; Izmailov et al., Averaging weights leads to wider optima, 2018).

    Args:
        network: Changed in place.
        train: Training pictures.
        num_pictures: How many of them, evenly spread; none changes nothing.
        image_size: At which size.
    """
    normalizations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not (num_pictures and normalizations):
        return
    moving = [variable for layer in normalizations for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0  # so that each call leaves its own batch's statistics
    sums = [np.zeros(variable.shape) for variable in moving]
    samples = np.unique(np.linspace(0, len(train) - 1, num_pictures).astype(np.int64))
    parts = np.array_split(samples, -(-len(samples) // _RECALIBRATED_AT_ONCE))
    for part in parts:
        network(train.pixels(part, image_size), training=True)
        for total, variable in zip(sums, moving, strict=True):
            total += np.asarray(variable)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
    write_variables(moving, [(total / len(parts)).astype(np.float32) for total in sums])
