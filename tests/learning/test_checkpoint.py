"""A checkpoint is the whole state: what is loaded goes on exactly like what was saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from dogvscat.config import Config
from dogvscat.errors import Interrupted, ModelError
from dogvscat.learning.data.batches import BatchLoader
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.learning.loop.checkpoint import load_checkpoint, read_variables, write_variables
from dogvscat.learning.loop.inference import log_loss, predict_logits
from dogvscat.learning.loop.progress import StopRequest, TrainingDisplay
from dogvscat.learning.loop.training import Training
from dogvscat.learning.model.networks import build_network
from dogvscat.learning.model.optimizers import compile_network
from dogvscat.settings.resolve import build_config
from tests.helpers import plain_layers, residual_layers

pytestmark = pytest.mark.slow

SETTINGS: dict[str, dict[str, object]] = {
    "data": {"image_size": 32},
    "network": {"layers": plain_layers(4, 8), "changes": "norm after each conv", "dropout": 0.5},
    "training": {"epochs": 4, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01, "seed": 5},
}


GROWING = {
    "network": {"layers": residual_layers(4, 4, 8), "changes": "without stage2.block1", "dropout": 0.5},
    "training": {"progressive_resizing": [[1, 32], [2, 40]], "precision": "bfloat16", "ema_momentum": 0.9},
}
"""A residual network on pictures that grow twice within the four epochs."""


def make_training(folder: Path, network: Mapping[str, object] | None = None, **training: object) -> Training:
    """A small training on noise; the pictures are always the same."""
    sections = {"network": network or SETTINGS["network"], "training": {**SETTINGS["training"], **training}}
    config: Config = build_config({**SETTINGS, **sections})
    rng = np.random.default_rng(0)
    images = {size: rng.integers(0, 256, (60, size, size, 3), dtype=np.uint8) for size in config.image_sizes}
    y_true = (np.arange(60) % 2).astype(np.int64)
    settings = config.training
    size = 32 if network is None else None
    model = build_network(config.network, size, l2=settings.l2, seed=settings.seed, precision=settings.precision)
    compile_network(model, settings)
    pictures = LabeledImages(images, np.arange(40), y_true[:40])
    loader = BatchLoader(pictures, config)
    validation = LabeledImages(images, np.arange(40, 60), y_true[40:])
    return Training(model, config, loader, validation, folder / "checkpoint" / "state.npz", folder / "history.csv")


def weights_of(model: keras.Model) -> list[np.ndarray]:
    return read_variables([*model.variables, *model.optimizer.variables])


def assert_equal_bits(first: keras.Model, second: keras.Model) -> None:
    for a, b in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


def stop_after(training: Training, steps: int) -> None:
    """Run some steps as the loop does, then a checkpoint, as if Ctrl-C had been pressed."""
    stop, seen = StopRequest(), 0
    step = training._train_step

    def counting(batch, rate):
        nonlocal seen
        seen += 1
        stop.requested = seen >= steps
        return step(batch, rate)

    training._train_step = counting  # type: ignore[method-assign]
    display = TrainingDisplay(training.config.training, training.state, training.loader.steps_per_epoch)

    def go_on() -> None:
        while True:
            training._train_epoch([display], stop)
            training._finish_epoch()

    with pytest.raises(Interrupted, match="nothing is lost"):
        go_on()


@pytest.mark.parametrize("steps", [1, 3, 5, 6, 12])
def test_stopped_anywhere_and_resumed_equals_uninterrupted(tmp_path: Path, steps: int) -> None:
    whole = make_training(tmp_path / "whole")
    whole.fit()
    stopped = make_training(tmp_path / "stopped")
    stop_after(stopped, steps)
    resumed = make_training(tmp_path / "stopped", seed=5)
    resumed.resume()
    assert (resumed.state.epoch, resumed.state.step) in {divmod(steps, 5), (steps // 5 - 1, 5)}
    resumed.fit()
    assert_equal_bits(whole.model, resumed.model)
    without_times = [[{**row, "seconds": 0} for row in t.state.history] for t in (whole, resumed)]
    assert without_times[0] == without_times[1]
    assert whole.state.best_val_loss == resumed.state.best_val_loss


@pytest.mark.parametrize("steps", [4, 13])
def test_resumed_while_pictures_grow_equals_uninterrupted(tmp_path: Path, steps: int) -> None:
    settings: dict[str, Any] = {"network": GROWING["network"], **GROWING["training"]}
    whole, stopped, resumed = (make_training(tmp_path / name, **settings) for name in ("whole", "stopped", "stopped"))
    whole.fit()
    stop_after(stopped, steps)
    resumed.resume()
    resumed.fit()
    assert_equal_bits(whole.model, resumed.model)
    seen = [whole.loader.batch(epoch, 0).pixels.shape[1] for epoch in range(4)]
    assert seen == [32, 40, 40, 32]


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path: Path) -> None:
    first, second, other = (make_training(tmp_path / str(n), seed=n // 2, epochs=1) for n in (2, 3, 4))
    for training in (first, second, other):
        training.fit()
    assert_equal_bits(first.model, second.model)
    assert not np.array_equal(weights_of(first.model)[0], weights_of(other.model)[0])


def test_the_best_epochs_weights_are_restored(tmp_path: Path) -> None:
    training = make_training(tmp_path, epochs=6, early_stopping_patience=6)
    training.fit()
    logits = predict_logits(training.model, training.validation, 32).positive
    assert log_loss(training.validation.y_true, logits) == pytest.approx(training.state.best_val_loss, rel=1e-6)


def test_estimating_the_time_changes_nothing(tmp_path: Path) -> None:
    training = make_training(tmp_path)
    before = weights_of(training.model)
    assert "s per epoch" in training._estimate()
    for a, b in zip(before, weights_of(training.model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_diverged_training_says_so(tmp_path: Path) -> None:
    training = make_training(tmp_path)
    training.model.get_layer("logit").bias.assign([np.nan])  # what an exploding gradient leaves behind
    with pytest.raises(ModelError, match="diverged"):
        training.fit()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    training = make_training(tmp_path, epochs=1)
    training.fit()
    whole = training.checkpoint_file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense", whole[:-30]):
        training.checkpoint_file.write_bytes(damaged)
        with pytest.raises(ModelError, match="is damaged"):
            load_checkpoint(training.checkpoint_file)
    training.checkpoint_file.unlink()
    with pytest.raises(ModelError, match="there is no checkpoint"):
        load_checkpoint(training.checkpoint_file)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    make_training(tmp_path, epochs=1).fit()
    other = make_training(tmp_path, optimizer="sgd")
    with pytest.raises(ModelError, match="do not fit this network"):
        other.resume()


def test_numbers_must_be_of_the_same_kind_but_not_of_the_same_size() -> None:
    variables = [keras.Variable(np.zeros(2), dtype=dtype) for dtype in ("uint32", "float32")]
    write_variables(variables, [np.array([7, 8], np.int32), np.array([0.5, 1.5], np.float64)])
    assert [np.asarray(variable).tolist() for variable in variables] == [[7, 8], [0.5, 1.5]]
    with pytest.raises(ModelError, match=r"expected \(\(2,\), 'integers'\), received \(\(2,\), 'floats'\)"):
        write_variables(variables, [np.zeros(2), np.zeros(2)])


def test_log_loss_as_scikit_learn_computes_it() -> None:
    from sklearn.metrics import log_loss as reference

    logits = np.array([-3.0, 0.2, 1.5, 20.0])
    y_true = np.array([0, 1, 0, 1])
    assert log_loss(y_true, logits) == pytest.approx(reference(y_true, 1 / (1 + np.exp(-logits))), rel=1e-9)
    assert np.isfinite(log_loss(np.array([0]), np.array([1000.0])))
