"""Real kills of a real training process: what is resumed ends with the same bits as what was left alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dogvscat.learning.loop.checkpoint import load_checkpoint

SETTINGS = [
    "--recipe=classic",
    "--set=network.filters=[8, 8]",
    "--set=network.dense_units=8",
    "--set=data.image_size=32",
    "--set=training.epochs=6",
    "--set=training.batch_size=2",
    "--set=training.checkpoint_seconds=0.001",
    "--set=training.threads=1",
]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "dogvscat", "train", *map(str, arguments)]


def train(*arguments: object) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def train_until(epoch: int, number: signal.Signals, *arguments: object) -> tuple[int, str]:
    """Send a signal when the process reports an epoch; by then it is in the middle of the next one."""
    spoken = []
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            spoken.append(line)
            if line.startswith(f"epoch {epoch:3d}/"):
                os.kill(process.pid, number)
    return process.returncode, "".join(spoken)


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


def test_killed_and_interrupted_runs_end_with_the_same_bits(tmp_path: Path, drawn_photos: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(drawn_photos, "--out", whole, *SETTINGS)

    code, _ = train_until(1, signal.SIGKILL, drawn_photos, "--out", broken, *SETTINGS)
    assert code == -signal.SIGKILL
    assert 1 <= load_checkpoint(broken / "checkpoint" / "state.npz").state.epoch < 6

    code, spoken = train_until(4, signal.SIGINT, "--resume", broken)
    assert code == 130
    assert "nothing is lost" in spoken
    assert f"--resume {broken}" in spoken
    assert "Traceback" not in spoken

    train("--resume", broken)
    assert_equal_results(whole, broken)


def test_a_finished_run_can_be_extended(tmp_path: Path, drawn_photos: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    train(drawn_photos, "--out", long, *SETTINGS)
    train(drawn_photos, "--out", short, *SETTINGS, "--set=training.epochs=3")
    train("--resume", short, "--set=training.epochs=6")
    assert_equal_results(long, short)
    assert json.loads((short / "bundle" / "card.json").read_text())["config"]["training"]["epochs"] == 6
