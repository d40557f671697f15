"""How a network learns: its loss, its optimizer, which weights decay, and the learning rate of each step."""

from functools import partial

from dogvscat.config import TrainingConfig
from dogvscat.learning.engine import keras
from dogvscat.learning.model.muon import Muon


def compile_network(model: keras.Model, config: TrainingConfig) -> None:
    """Give a network its loss and optimizer, ready for the first step.

    The accuracy metric compares the logit with zero, which is a probability of one half.
    """
    optimizer = _build_optimizer(config)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])  # decay is for kernels
    model.compile(
        optimizer=optimizer,
        loss=_Loss(config.label_smoothing),
        weighted_metrics=[_Accuracy(threshold=0.0, name="accuracy")],
        # With XLA, TensorFlow gives other bits after a restart. Without XLA, JAX computes operation by operation.
        jit_compile=keras.backend.backend() == "jax",
    )
    optimizer.build(model.trainable_variables)


def learning_rate(config: TrainingConfig, step: int, num_steps: int, reductions: int) -> float:
    """The learning rate of one step.

    Args:
        config: Schedule, largest learning rate, warm-up and factor.
        step: Counted from 0 over all epochs.
        num_steps: Of all epochs together.
        reductions: How often a plateau has reduced the rate so far.

    Returns:
        `one_cycle`: rising linearly over the warm-up, then falling linearly to zero after the last step (Smith and
        Topin, Super-Convergence, 2018). `reduce_on_plateau`: the largest rate times `plateau_factor ** reductions`.
    """
    if config.schedule == "one_cycle":
        warmup = max(1.0, config.warmup_share * num_steps)
        rising = (step + 1) / warmup
        falling = (num_steps - step) / max(1.0, num_steps - warmup)
        return config.learning_rate * min(rising, falling, 1.0)  # the lower of two lines is the cycle
    if config.schedule == "reduce_on_plateau":
        return config.learning_rate * config.plateau_factor**reductions
    return config.learning_rate


class _Loss(keras.losses.Loss):
    """Cross-entropy of the class; with the second output, plus the cross-entropy of showing neither class.

    The first term ignores images that show neither class, because no class would be correct for them.
    """

    def __init__(self, label_smoothing: float) -> None:
        super().__init__(name="loss")
        self._entropy = partial(keras.losses.binary_crossentropy, from_logits=True, label_smoothing=label_smoothing)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Cross-entropies (n,) of labels and logits, both (n, 1), or (n, 2) with a second column for neither."""
        if y_pred.shape[-1] == 1:
            return self._entropy(y_true, y_pred)
        shows_class = 1.0 - y_true[:, 1]
        of_class, of_neither = (self._entropy(y_true[:, i : i + 1], y_pred[:, i : i + 1]) for i in (0, 1))
        return shows_class * of_class + of_neither


class _Accuracy(keras.metrics.BinaryAccuracy):
    """Accuracy of the class, over images that show a class."""

    def update_state(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor, sample_weight: keras.KerasTensor | None = None
    ) -> None:
        """Add a batch, in the shapes that `_Loss` takes."""
        if y_pred.shape[-1] == 2:
            sample_weight = (1.0 if sample_weight is None else sample_weight) * (1.0 - y_true[:, 1:])
        majority_label = keras.ops.cast(y_true[:, :1] > 0.5, y_true.dtype)  # cutmix makes labels between 0 and 1
        super().update_state(majority_label, y_pred[:, :1], sample_weight)


class _WarmedUpAverage(keras.optimizers.Optimizer):
    """An optimizer whose moving averages of the weights forget the untrained weights quickly.

    Source: `num_updates` of tf.train.ExponentialMovingAverage.
    """

    # An average that keeps 0.998 of itself looks back 500 steps; until then it would be mostly the untrained weights.
    # So after t steps it keeps at most (1 + t) / (10 + t), which looks back over the last ninth of them.
    @property
    def ema_momentum(self) -> keras.KerasTensor:
        """The share of itself that the average keeps in this step."""
        step = keras.ops.cast(self.iterations, "float32")
        return keras.ops.minimum(self._ema_momentum, (1.0 + step) / (10.0 + step))

    @ema_momentum.setter
    def ema_momentum(self, limit: float) -> None:
        self._ema_momentum = limit


class _SGD(_WarmedUpAverage, keras.optimizers.SGD): ...


class _Adam(_WarmedUpAverage, keras.optimizers.Adam): ...


class _Muon(_WarmedUpAverage, Muon): ...


def _build_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    settings = {
        "name": config.optimizer,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay or None,
        "use_ema": bool(config.ema_momentum),
        "ema_momentum": config.ema_momentum or 0.99,  # Keras wants a number here also where it averages nothing
    }
    if config.optimizer == "sgd":
        return _SGD(momentum=0.9, nesterov=True, **settings)
    if config.optimizer == "muon":
        return _Muon(precision=config.precision, **settings)
    return _Adam(**settings)
