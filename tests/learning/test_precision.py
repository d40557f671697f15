"""The faster arithmetic is measured, written down with the run, and kept by it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dogvscat.config import TrainingConfig
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.loop.setup import prepare_training
from dogvscat.learning.precision import faster_precision, settled
from dogvscat.learning.run.create import ComputeSettings, InputPaths, record_start
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.sources import open_photos
from dogvscat.settings import build_config

TINY = {
    "data": {"image_size": 32},
    "network": {"name": "residual", "stem_filters": 4, "filters": (8,), "residual_blocks": (0,)},
    "training": {"precision": "auto", "optimizer": "muon"},
}


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_a_processor_without_bfloat16_computes_in_float32(instructions: str) -> None:
    """oneDNN is held to older instructions: with the first it refuses bfloat16, with the second it imitates it."""
    code = (
        "from dogvscat.learning.engine import prepare_backend; prepare_backend(1)\n"
        "from dogvscat.learning.precision import faster_precision; print(faster_precision())"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("float32\n", "")


def test_only_auto_is_settled() -> None:
    for precision in ("float32", "bfloat16"):
        asked = TrainingConfig(precision=precision)
        assert settled(asked, begun_in="bfloat16") == asked
        assert settled(TrainingConfig(precision="auto"), begun_in=precision) == asked
    assert settled(TrainingConfig(precision="auto")).precision == faster_precision()


def test_a_run_goes_on_in_the_precision_it_was_begun_in(drawn_photos: Path, tmp_path: Path) -> None:
    """Also on another machine, whose choice would be the other one."""
    config, source, run = build_config(TINY), open_photos(drawn_photos), Run(tmp_path / "run")
    manifest = make_manifest(source, config.data)
    dataset = Dataset(manifest, {32: cached_pixels(source, manifest, 32)})
    record_start(run, config, dataset, InputPaths(drawn_photos), ComputeSettings(threads=1))
    environment = run.load_environment()
    assert environment["precision"] == faster_precision()
    for precision, policy in (("float32", "float32"), ("bfloat16", "mixed_bfloat16")):
        run.environment_file.write_text(json.dumps({**environment, "precision": precision}))
        told: list[str] = []
        training = prepare_training(run, config, dataset, told.append)
        assert training.model.get_layer("stem").dtype_policy.name == policy
        assert training.model.optimizer._precision == precision
        assert f"weights, {precision})" in told[0]
    assert run.load_config() == config  # which is what `compare` and `--resume` go by
