"""Each backend of Keras resumes with equal bits, and its network answers like its bundle. One tiny training for each.

TensorFlow is always there. JAX and PyTorch are not locked requirements: without them their tests are skipped.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import Any

import numpy as np
import pytest

from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.learning.engine import BACKENDS
from dogvscat.learning.loop.checkpoint import load_checkpoint
from dogvscat.photos.decoding.decoder import decode, read_photo
from dogvscat.settings.toml import toml_value
from tests.helpers import Dogvscat, read_table, residual_layers, signal_at

pytestmark = pytest.mark.slow

LAYERS = ("soft colors", *residual_layers(8, 8, 8), "dropout 0.5")
SETTINGS = {
    "data.image_size": 32,
    "network.layers": toml_value(LAYERS),
    "network.flip_averaging": "true",
    "augmentation.cutmix": 0.5,
    "training.epochs": 3,
    "training.batch_size": 2,
    "training.checkpoint_seconds": 0.001,
    "training.optimizer": "muon",
    "training.ema_momentum": 0.9,
    "training.schedule": "one_cycle",
    "training.early_stopping_patience": 0,
    "training.threads": 1,
}
FLAGS = ["--recipe=classic", *(f"--set={name}={value}" for name, value in SETTINGS.items())]
"""A tiny network with what `best` has: residual blocks, Muon, averaged weights, cutmix, dropout, both flips."""


@pytest.fixture(scope="module", params=BACKENDS)
def whole_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat
) -> Iterator[Path]:
    """A finished run on one backend, which KERAS_BACKEND names while its tests run."""
    if find_spec(request.param) is None:
        pytest.skip(f"the Keras backend {request.param} is not installed (pip install {request.param})")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", request.param)
        run = tmp_path_factory.mktemp(request.param) / "whole"
        result = dogvscat("train", drawn_photos, "--out", run, *FLAGS)
        assert result.returncode == 0, result.stderr
        assert json.loads((run / "environment.json").read_text())["backend"] == request.param
        yield run


def test_stopped_and_resumed_equals_uninterrupted(
    whole_run: Path, tmp_path: Path, drawn_photos: Path, dogvscat: Dogvscat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where KERAS_BACKEND is not set any more: a run keeps the backend that it was started with."""
    stopped = tmp_path / "stopped"
    interrupted = signal_at("epoch   1/", SIGINT, "train", drawn_photos, "--out", stopped, *FLAGS)
    assert interrupted.returncode == 130, interrupted.stderr
    monkeypatch.delenv("KERAS_BACKEND")
    resumed = dogvscat("train", "--resume", stopped)
    assert resumed.returncode == 0, resumed.stderr
    first, second = (load_checkpoint(run / "checkpoint" / "state.npz").variables for run in (whole_run, stopped))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    losses = [[row["loss"] for row in read_table(run / "history.csv")] for run in (whole_run, stopped)]
    assert losses[0] == losses[1]
    assert (whole_run / "bundle" / "model.onnx").read_bytes() == (stopped / "bundle" / "model.onnx").read_bytes()


def test_the_network_answers_like_its_bundle(whole_run: Path, drawn_photos: Path) -> None:
    """The answers of the training, which the backend computed, and those of the graph, which ONNX Runtime computes."""
    predictor = Predictor.load(whole_run)
    rows = [row for row in read_table(whole_run / "predictions.csv") if row["split"] == "train"]
    pixels = np.stack([decode(read_photo(drawn_photos / row["path"]), row["path"], 32) for row in rows])
    expected = np.array([float(row["probability_dog"]) for row in rows])
    np.testing.assert_allclose(predictor.probabilities(pixels), expected, atol=1e-4)


def test_heat_maps_are_those_of_tensorflow(whole_run: Path, tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from dogvscat.learning.engine import open_engine
open_engine(1, backend=sys.argv[1])
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.learning.interpret.grad_cam import GradCam
pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
np.save(sys.argv[3], GradCam(Predictor.load(sys.argv[2])).evidence(pixels))
"""
    evidence: list[Any] = []
    for backend in (os.environ["KERAS_BACKEND"], "tensorflow"):
        file = tmp_path / f"{backend}.npy"
        subprocess.run([sys.executable, "-c", code, backend, str(whole_run), str(file)], check=True, timeout=120)
        evidence.append(np.load(file))
    assert np.abs(evidence[1]).max() > 0
    np.testing.assert_allclose(evidence[0], evidence[1], atol=1e-5 * np.abs(evidence[1]).max())


def test_a_backend_that_cannot_train_is_refused(
    drawn_photos: Path, tmp_path: Path, dogvscat: Dogvscat, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pytorch", "numpy"):
        monkeypatch.setenv("KERAS_BACKEND", name)
        result = dogvscat("train", drawn_photos, "--out", tmp_path / name, *FLAGS)
        assert result.returncode == 2
        assert f"KERAS_BACKEND is '{name}', which is not a backend that can train" in result.stderr
        assert "tensorflow, jax, torch" in result.stderr
