"""One door to Keras, closed until the backend is prepared. A run keeps the arithmetic measured at its start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, faster_precision, open_engine
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.loop.training import set_up_training
from dogvscat.learning.model.networks import layer_of
from dogvscat.learning.new_run import create_run
from dogvscat.learning.run import Run
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.reading.sources import open_photos
from dogvscat.settings.resolve import build_config
from tests.helpers import residual_layers

pytestmark = pytest.mark.slow

TINY = {
    "data": {"image_size": 32},
    "network": {"layers": residual_layers(4, 8, blocks=0), "initializer": "he", "dropout": 0.5},
    "training": {"precision": "auto", "optimizer": "muon"},
}


@pytest.mark.parametrize("module", ["loop.training", "finalize.finalize", "model.networks", "interpret.layer_maps"])
def test_keras_cannot_be_had_before_the_engine_is_open(module: str) -> None:
    """In a fresh process; afterwards the same import works."""
    code = f"import dogvscat.learning.{module}"
    opened = f"from dogvscat.learning.engine import open_engine; open_engine(1); {code}"
    closed_run, open_run = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
        for text in (code, opened)
    )
    assert "call open_engine() first" in closed_run.stderr.splitlines()[-1]
    assert (open_run.returncode, open_run.stderr) == (0, "")


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_a_processor_without_bfloat16_computes_in_float32(instructions: str) -> None:
    """oneDNN is held to older instructions: with the first it refuses bfloat16, with the second it imitates it."""
    code = (
        "from dogvscat.learning.engine import open_engine, faster_precision\nopen_engine(1); print(faster_precision())"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("float32\n", "")


def test_only_auto_is_measured() -> None:
    for precision in ("float32", "bfloat16"):
        assert open_engine(1, precision) == ComputeSettings(1, precision)
    assert open_engine(1, "auto") == ComputeSettings(1, faster_precision())


def test_a_run_resumes_in_the_precision_it_was_started_in(drawn_photos: Path, tmp_path: Path) -> None:
    """Also on another machine, whose choice would be the other one."""
    config, source = build_config(TINY), open_photos(drawn_photos)
    manifest = make_manifest(source, config.data)
    dataset = Dataset(manifest, {32: cached_pixels(source, manifest, 32)})
    for precision, policy in (("float32", "float32"), ("bfloat16", "mixed_bfloat16")):
        run = Run(tmp_path / precision)
        create_run(run.folder, config, dataset, InputPaths(drawn_photos), ComputeSettings(1, precision))
        compute = open_engine(1, run.load_environment()["precision"])
        sentences: list[str] = []
        training = set_up_training(run, config, dataset, compute, sentences.append)
        assert layer_of(training.model, "stem.conv1").dtype_policy.name == policy
        assert training.model.optimizer._precision == precision
        assert f"weights, {precision})" in sentences[0]
        assert run.load_config() == config  # which still says auto: `compare` and `--resume` go by it


def test_a_machine_without_bfloat16_refuses_a_run_that_was_started_in_it() -> None:
    """Keras' convolution is replaced by that of a backend that has no bfloat16, as oneDNN's is on some processors."""
    code = """
import keras.ops
from dogvscat.errors import UsageError
from dogvscat.learning.engine import open_engine

convolve = keras.ops.conv
def without_bfloat16(images, kernel, **options):
    if keras.backend.standardize_dtype(images.dtype) == "bfloat16":
        raise NotImplementedError("could not create a primitive descriptor")
    return convolve(images, kernel, **options)
keras.ops.conv = without_bfloat16

assert open_engine(1, "auto").precision == "float32"
try:
    open_engine(1, "bfloat16")
except UsageError as error:
    print(error.message, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("this machine cannot compute in bfloat16, which this training needs Resume this")


def test_settings_of_keras_have_no_effect_and_none_are_written(tmp_path: Path) -> None:
    keras_home, empty_home = tmp_path / "home" / ".keras", tmp_path / "empty"
    keras_home.mkdir(parents=True)
    empty_home.mkdir()
    settings = {"floatx": "float64", "epsilon": 0.5, "backend": "jax", "image_data_format": "channels_first"}
    (keras_home / "keras.json").write_text(json.dumps(settings))
    code = (
        "from dogvscat.learning.engine import open_engine; open_engine(1); from dogvscat.learning.engine import keras;"
        "c = keras.config; print(c.floatx(), c.epsilon(), c.backend(), c.image_data_format())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    homes = ({"HOME": str(keras_home.parent)}, {"HOME": str(empty_home), "KERAS_HOME": str(keras_home)})
    for variables in homes:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True, timeout=120
        )
        assert done.stdout == "float32 1e-07 tensorflow channels_last\n", done.stderr
    assert not list(empty_home.iterdir())
