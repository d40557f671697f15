"""The network as it is evaluated and shipped, and its answers: averaged weights, float32, batch statistics measured
again on plain images."""

from typing import NamedTuple

import numpy as np

from dogvscat.config import Config
from dogvscat.judging.decision import Logits
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.learning.engine import keras, without_gradients
from dogvscat.learning.loop.checkpoint import Weights, read_variables, write_variables
from dogvscat.learning.model.networks import average_over_flips, build_network

_RECALIBRATION_BATCH = 250
_INFERENCE_BATCH = 256


def final_network(trained: keras.Model, config: Config, train: LabeledImages) -> keras.Model:
    """A network with the trained weights that answers as the bundle will.

    Args:
        trained: Of any image size and precision, with the weights to evaluate.
        config: The run's.
        train: Training images, for the statistics of batch normalization.

    Returns:
        A float32 network for `data.image_size`, averaging over flips if `network.flip_averaging` says so.
    """
    network = build_network(config.network, config.data.image_size)
    write_variables(network.weights, read_variables(trained.weights))
    recalibrate(network, train, config.training.recalibrated_pictures, config.data.image_size)
    return average_over_flips(network) if config.network.flip_averaging else network


class Validation(NamedTuple):
    """How good a network under training is after an epoch."""

    weights: Weights
    """The weights that were evaluated: averaged, if the optimizer keeps averages."""
    loss: float
    accuracy: float
    logits: np.ndarray
    """Of the validation images: float64 (num_images,)."""


def validate(
    model: keras.Model, validation: LabeledImages, train: LabeledImages, num_recalibrated: int, image_size: int
) -> Validation:
    """Evaluate a compiled network on the validation images; it is left as it was.

    Args:
        model: The network.
        validation: What it is evaluated on.
        train: Training images, for the statistics of batch normalization.
        num_recalibrated: The number of training images to use for these statistics.
        image_size: Side of all of these images, in pixels.
    """
    weights, last_step = averaged_weights(model), read_variables(model.weights)
    write_variables(model.weights, weights)
    # Averaged weights do not fit the statistics that were collected with the weights of each step; measuring them on a
    # few images, at the size that was just learned from, is cheap.
    recalibrate(model, train, num_recalibrated, image_size)
    logits = predict_logits(model, validation, image_size).positive
    write_variables(model.weights, last_step)
    accuracy = float(np.mean((logits >= 0) == validation.y_true))
    return Validation(weights, log_loss(validation.y_true, logits), accuracy, logits)


def predict_logits(model: keras.Model, images: LabeledImages, image_size: int) -> Logits:
    """The network's answers in inference mode, without augmentation: float64 (num_images,) per output."""
    columns = np.empty((len(images), model.output_shape[-1]))  # (num_images, 1 or 2)
    for start in range(0, len(images), _INFERENCE_BATCH):
        samples = np.arange(start, min(start + _INFERENCE_BATCH, len(images)))
        columns[samples] = np.asarray(model.predict_on_batch(images.pixels(samples, image_size)))
    return Logits(*columns.T)


def log_loss(y_true: np.ndarray, logits: np.ndarray) -> float:
    """Mean cross-entropy in nats, without smoothing or penalties, stable for large logits."""
    # -log(sigmoid(z)) = log(1 + exp(-z)): logaddexp never overflows, where exp of a large logit would.
    return float(np.mean(np.logaddexp(0.0, np.where(y_true == 1, -logits, logits))))


def averaged_weights(model: keras.Model) -> Weights:
    """The weights of a compiled network, as moving averages over the steps if its optimizer keeps them."""
    if not model.optimizer.use_ema:
        return read_variables(model.weights)
    # Keras can only overwrite the weights with their averages. Training has to continue from the weights of the last
    # step, so they are put back.
    last_step = read_variables(model.trainable_variables)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    averaged = read_variables(model.weights)
    write_variables(model.trainable_variables, last_step)
    return averaged


def recalibrate(network: keras.Model, train: LabeledImages, num_images: int, image_size: int) -> None:
    """Replace the moving means and variances of batch normalization by those of some unchanged training images.

    The network learned from images of other sizes and changed by augmentation, perhaps with other weights than its
    averaged ones; statistics of plain images at the evaluated size fit better (Touvron et al., Fixing the train-test
    resolution discrepancy, 2019; Izmailov et al., Averaging weights leads to wider optima, 2018).

    Args:
        network: Changed in place.
        train: Training images.
        num_images: How many of them, evenly spread; 0 changes nothing.
        image_size: At which size, in pixels.
    """
    normalizations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not (num_images and normalizations):
        return
    moving = [variable for layer in normalizations for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0  # so that each call leaves only the statistics of its own batch
    sums = [np.zeros(variable.shape) for variable in moving]
    samples = np.unique(np.linspace(0, len(train) - 1, num_images).astype(np.int64))
    # Parts of nearly equal size, so that the plain mean over batches is the mean over images.
    batches = np.array_split(samples, -(-len(samples) // _RECALIBRATION_BATCH))
    for batch in batches:
        with without_gradients():
            network(train.pixels(batch, image_size), training=True)
        for total, variable in zip(sums, moving, strict=True):
            total += np.asarray(variable)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
    write_variables(moving, [(total / len(batches)).astype(np.float32) for total in sums])
