"""One door to Keras, closed until the backend is prepared. A run keeps the arithmetic measured at its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, faster_precision, open_engine
from dogvscat.learning.loop.training import set_up_training
from dogvscat.learning.run import InputPaths, Run, create_run
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.sources import open_photos
from dogvscat.settings import build_config

pytestmark = pytest.mark.slow

TINY = {
    "data": {"image_size": 32},
    "network": {"name": "residual", "stem_filters": 4, "filters": (8,), "residual_blocks": (0,)},
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
        assert training.model.get_layer("stem").dtype_policy.name == policy
        assert training.model.optimizer._precision == precision
        assert f"weights, {precision})" in sentences[0]
        assert run.load_config() == config  # which still says auto: `compare` and `--resume` go by it
