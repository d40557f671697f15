"""Compile a network: loss, optimizer, and which weights decay."""

from functools import partial

import keras

from dogvscat.config import TrainingConfig
from dogvscat.learning.model.muon import Muon


def compile_network(model: keras.Model, config: TrainingConfig) -> None:
    """Give a network its loss and optimizer, ready for the first step.

    The accuracy metric compares the logit with zero, which is a probability of one half.
    """
    optimizer = _optimizer(config)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])  # decay is for kernels
    model.compile(
        optimizer=optimizer,
        loss=_Loss(config.label_smoothing),
        weighted_metrics=[_Accuracy(threshold=0.0, name="accuracy")],
        # XLA gives TensorFlow other bits after a restart; without it, JAX computes operation by operation
        jit_compile=keras.backend.backend() == "jax",
    )
    optimizer.build(model.trainable_variables)


class _Loss(keras.losses.Loss):
    """Cross-entropy of the class, for pictures that show one, plus that of showing neither where that is asked."""

    def __init__(self, label_smoothing: float) -> None:
        super().__init__(name="loss")
        self._entropy = partial(keras.losses.binary_crossentropy, from_logits=True, label_smoothing=label_smoothing)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Cross-entropies (n,) of (n, 1), or (n, 2) with a second column for neither."""
        if y_pred.shape[-1] == 1:
            return self._entropy(y_true, y_pred)
        shows_class = 1.0 - y_true[:, 1]
        of_class, of_neither = (self._entropy(y_true[:, i : i + 1], y_pred[:, i : i + 1]) for i in (0, 1))
        return shows_class * of_class + of_neither


class _Accuracy(keras.metrics.BinaryAccuracy):
    """Accuracy of the class alone, over pictures that show one."""

    def update_state(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor, sample_weight: keras.KerasTensor | None = None
    ) -> None:
        """Take in a batch, as `_Loss` does."""
        if y_pred.shape[-1] == 2:
            sample_weight = (1.0 if sample_weight is None else sample_weight) * (1.0 - y_true[:, 1:])
        likelier = keras.ops.cast(y_true[:, :1] > 0.5, y_true.dtype)  # labels of mixed pictures lie between
        super().update_state(likelier, y_pred[:, :1], sample_weight)


class _YoungAverage(keras.optimizers.Optimizer):
    """Moving averages of the weights that do not cling to their beginning: after t steps each keeps no more than
    (1 + t) / (10 + t) of itself, and so looks back at most a ninth of the steps, however few there are.

    Source: `num_updates` of tf.train.ExponentialMovingAverage.
    """

    @property
    def ema_momentum(self) -> keras.KerasTensor:
        """For the step under way."""
        step = keras.ops.cast(self.iterations, "float32")
        return keras.ops.minimum(self._ema_momentum, (1.0 + step) / (10.0 + step))

    @ema_momentum.setter
    def ema_momentum(self, most: float) -> None:
        self._ema_momentum = most


class _SGD(_YoungAverage, keras.optimizers.SGD): ...


class _Adam(_YoungAverage, keras.optimizers.Adam): ...


class _Muon(_YoungAverage, Muon): ...


def _optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    settings = {
        "name": config.optimizer,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay or None,
        "use_ema": bool(config.ema_momentum),
        "ema_momentum": config.ema_momentum or 0.99,
    }
    if config.optimizer == "sgd":
        return _SGD(momentum=0.9, nesterov=True, **settings)
    if config.optimizer == "muon":
        return _Muon(precision=config.precision, **settings)
    return _Adam(**settings)
