"""Early stopping and plateaus, epoch by epoch, by hand."""

import json

import pytest

from dogvscat.config import TrainingConfig
from dogvscat.learning.loop.checkpoint import TrainingState


def told(losses: list[float], **settings: object) -> tuple[TrainingState, TrainingConfig]:
    config = TrainingConfig.model_validate({"epochs": 50, **settings})
    state = TrainingState()
    for loss in losses:
        state.finish_epoch({"val_loss": loss}, config)
    return state, config


def test_stops_after_so_many_epochs_without_a_better_one() -> None:
    losses = [0.6, 0.5, 0.55, 0.52, 0.51]
    state, config = told(losses, early_stopping_patience=3)
    assert (state.best_epoch, state.best_val_loss, state.epochs_since_best) == (2, 0.5, 3)
    assert state.stopped_early(config)
    assert state.is_finished(config)
    assert state.chosen_epoch(config) == 2
    state, config = told(losses, early_stopping_patience=4)
    assert not state.stopped_early(config)


def test_an_equal_loss_is_not_better() -> None:
    state, _ = told([0.5, 0.5])
    assert state.best_epoch == 1


def test_without_patience_the_last_epoch_counts() -> None:
    state, config = told([0.5, 0.6, 0.7], early_stopping_patience=0, epochs=3)
    assert not state.stopped_early(config)
    assert state.is_finished(config)
    assert state.chosen_epoch(config) == 3


def test_each_plateau_reduces_once() -> None:
    losses = [0.6, 0.7, 0.7, 0.7, 0.7, 0.5, 0.7, 0.7]
    reductions = [
        told(losses[:n], plateau_patience=2, schedule="reduce_on_plateau")[0].reductions
        for n in range(1, len(losses) + 1)
    ]
    assert reductions == [0, 0, 1, 1, 2, 2, 2, 3]


def test_means_are_weighted_by_pictures() -> None:
    state = TrainingState()
    state.add_step(4, loss=1.0, accuracy=0.5, learning_rate=0.1)
    state.add_step(1, loss=2.0, accuracy=1.0, learning_rate=0.05)
    assert state.loss == pytest.approx(1.2)
    assert state.accuracy == pytest.approx(0.6)
    assert (state.step, state.num_seen, state.learning_rate) == (2, 5, 0.05)


def test_survives_json() -> None:
    state, _ = told([0.123456789012345678, 0.1])
    state.add_step(4, 1 / 3, 0.5, 1e-3)
    assert TrainingState.from_dict(json.loads(json.dumps(state.to_dict()))) == state
