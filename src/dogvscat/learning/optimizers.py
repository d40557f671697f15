"""Compile a network: loss, optimizer, and which weights decay."""

import keras

from dogvscat.config import TrainingConfig


def compile_network(model: keras.Model, config: TrainingConfig) -> None:
    """Give a network its loss and optimizer, ready for the first step.

    The accuracy metric compares the logit with zero, which is a probability of one half.
    """
    optimizer = _optimizer(config)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])  # decay is for kernels
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        weighted_metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
        jit_compile=False,  # XLA gives other bits after a restart and needs seconds to compile
    )
    optimizer.build(model.trainable_variables)


def _optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    settings = {
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay or None,
        "use_ema": bool(config.ema_momentum),
        "ema_momentum": config.ema_momentum or 0.99,
    }
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings)
    return keras.optimizers.Adam(**settings)
