"""`dogvscat export` as its documentation shows it, example by example; and what it says when something is wrong."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.bundle.predict.predictor import Prediction, Predictor
from dogvscat.photos.decoder import decode_photo
from dogvscat.photos.drawing import draw
from tests.helpers import Dogvscat

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^dogvscat export (.+)$", DOCUMENT, re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick_run: Path, drawn_photos: Path) -> Path:
    """Where the examples are run: with a run `runs/fast-1`, `photos/`, and a `photo.jpg` that lies on its side."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "runs").mkdir()
    (folder / "runs" / "fast-1").symlink_to(quick_run)
    (folder / "photos").symlink_to(drawn_photos)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    draw("dog", 5, 400).resize((500, 375)).save(buffer, "JPEG", quality=90, exif=exif)
    (folder / "photo.jpg").write_bytes(buffer.getvalue())
    return folder


@pytest.fixture
def exported(folder: Path, dogvscat: Dogvscat, onnxruntime_web: Path) -> dict[str, str]:
    """What each command of the document printed, by format; run once for all tests."""
    cache = folder / "outputs.json"
    if not cache.exists():
        outputs = {}
        for command in COMMANDS:
            process = dogvscat("export", *command.split(), cwd=folder)
            assert process.returncode == 0, process.stderr
            outputs[command.split()[2]] = process.stdout + process.stderr
        cache.write_text(json.dumps(outputs))
    return dict(json.loads(cache.read_text()))


def test_every_format_has_an_example_that_works(exported: dict[str, str], folder: Path) -> None:
    assert list(exported) == ["onnx", "litert", "openvino", "savedmodel", "keras", "browser"]
    for command in COMMANDS:
        name, out = command.split()[2], folder / command.split()[-1]
        about = json.loads((out / "preprocessing.json").read_text())
        assert about["format"] == name
        assert (out / about["model"]).exists()
        assert about["parity"]["largest_probability_difference"] <= 1e-3
        assert f"{command.split()[-1]}/{about['model']}\n" in exported[name]
        warned = "answers are compared on pictures drawn by code, not on photographs" in exported[name]
        assert warned == ("--photos" not in command)


def test_the_python_examples_print_what_predict_says(exported: dict[str, str], folder: Path) -> None:
    script = "\n".join(BLOCKS)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", script]
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr
    printed = {name: (label, float(number)) for name, label, number in map(str.split, process.stdout.splitlines())}
    assert list(printed) == ["onnx", "litert", "openvino", "savedmodel", "keras"]
    for name, (label, probability) in printed.items():
        (expected,) = Predictor.load("best" if name == "onnx" else folder / "runs" / "fast-1").predict(
            [folder / "photo.jpg"]
        )
        assert isinstance(expected, Prediction)
        assert label == expected.label
        assert probability == pytest.approx(expected.probabilities["dog"], abs=1e-3)


def test_the_documented_preparation_is_the_decoders(exported: dict[str, str], folder: Path) -> None:
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(BLOCKS[0], names)  # our own document
    ours = names["pixels_of"](folder / "photo.jpg", folder / "exported/onnx")
    np.testing.assert_array_equal(ours[0], decode_photo(folder / "photo.jpg", Predictor.load().card.image_size))


def test_json_has_the_path_and_the_parity(dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path) -> None:
    process = dogvscat("export", untouched_bundle, "--format", "onnx", "--out", tmp_path / "out", "--json")
    document = json.loads(process.stdout)
    assert document["model"] == str(tmp_path / "out" / "model.onnx")
    assert document["parity"] == {
        "largest_probability_difference": 0.0,
        "allowed": 0.001,
        "golden_pictures": 6,
        "photographs": 0,
        "other_drawn_pictures": 58,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("--out out", 2, "error: Missing option '--format'."),
        ("--format onnx", 2, "error: Missing option '--out'."),
        ("--format tflite --out out", 2, "hint: Did you mean 'litert'?"),
        ("--format onnx --out photos", 2, "error: photos is not an export of dogvscat and is not overwritten"),
        ("nothing --format keras --out out", 4, "error: nothing does not exist"),
        ("{bundle} --format onnx --photos nothing --out out", 3, "error: cannot open nothing: No such file"),
        ("{bundle} --format keras --out out", 4, "error: the graph is not the network that the card describes"),
    ],
)
def test_what_is_wrong_is_reported(
    dogvscat: Dogvscat,
    untouched_bundle: Path,
    drawn_photos: Path,
    tmp_path: Path,
    arguments: str,
    code: int,
    error: str,
) -> None:
    (tmp_path / "photos").symlink_to(drawn_photos)
    process = dogvscat("export", *arguments.format(bundle=untouched_bundle).split(), cwd=tmp_path)
    assert error in process.stderr
    assert "Traceback" not in process.stderr
    assert process.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_missing_extra_is_reported(dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path) -> None:
    """In an interpreter that cannot find OpenVINO, as in a light installation."""
    packages = [str(Path(importlib.util.find_spec(name).origin).parents[1]) for name in ("numpy", "dogvscat")]  # type: ignore[union-attr, arg-type]
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(packages[0]).iterdir():
        if not entry.name.startswith("openvino"):
            (site / entry.name).symlink_to(entry)
    command = [
        sys.executable,
        "-S",
        "-m",
        "dogvscat",
        "export",
        str(untouched_bundle),
        "--format",
        "openvino",
        "--out",
        "out",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([packages[1], str(site)])}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    shutil.rmtree(site)
    assert process.returncode == 2
    assert "error: this command needs the extra `export`, and openvino is not installed" in process.stderr
    assert "hint: Install it with: pip install 'dogvscat[export]'" in process.stderr
