"""Real kills of a real training process: what is resumed ends with the same bits as what was left alone."""

import json
import signal
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from dogvscat.learning.loop.checkpoint import load_checkpoint
from tests.helpers import Dogvscat, quick_flags, signal_at

pytestmark = pytest.mark.slow

FLAGS = quick_flags(
    "training.epochs=6", "training.batch_size=2", "training.checkpoint_seconds=0.001", "training.threads=1"
)


def train(dogvscat: Dogvscat, *arguments: object) -> None:
    result = dogvscat("train", *arguments)
    assert result.returncode == 0, result.stderr


def assert_equal_results(first: Path, second: Path) -> None:
    checkpoints = [load_checkpoint(folder / "checkpoint" / "state.npz") for folder in (first, second)]
    for name in ("variables", "best"):
        for a, b in zip(*(getattr(checkpoint, name) for checkpoint in checkpoints), strict=True):
            np.testing.assert_array_equal(a, b)
    states = [_without_times(checkpoint.state.to_dict()) for checkpoint in checkpoints]
    assert states[0] == states[1]
    for file in ("metrics.json", "predictions.csv", "bundle/model.onnx"):
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def _without_times(state: dict[str, object]) -> dict[str, object]:
    rows: Iterable[dict[str, float]] = state["history"]  # type: ignore[assignment]
    return {**state, "epoch_seconds": 0, "history": [{**row, "seconds": 0} for row in rows]}


def test_killed_and_interrupted_runs_end_with_the_same_bits(
    dogvscat: Dogvscat, tmp_path: Path, drawn_photos: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(dogvscat, drawn_photos, "--out", whole, *FLAGS)

    # When an epoch is reported, the process is in the middle of the next one.
    killed = signal_at("epoch   1/", signal.SIGKILL, "train", drawn_photos, "--out", broken, *FLAGS)
    assert killed.returncode == -signal.SIGKILL
    assert 1 <= load_checkpoint(broken / "checkpoint" / "state.npz").state.epoch < 6

    interrupted = signal_at("epoch   4/", signal.SIGINT, "train", "--resume", broken)
    assert interrupted.returncode == 130
    assert "nothing is lost" in interrupted.stderr
    assert f"--resume {broken}" in interrupted.stderr
    assert "Traceback" not in interrupted.stderr

    train(dogvscat, "--resume", broken)
    assert_equal_results(whole, broken)


def test_a_finished_run_can_be_extended(dogvscat: Dogvscat, tmp_path: Path, drawn_photos: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    train(dogvscat, drawn_photos, "--out", long, *FLAGS)
    train(dogvscat, drawn_photos, "--out", short, *FLAGS, "--set=training.epochs=3")
    train(dogvscat, "--resume", short, "--set=training.epochs=6")
    assert_equal_results(long, short)
    assert json.loads((short / "bundle" / "card.json").read_text())["config"]["training"]["epochs"] == 6
