"""`dogvscat export` as its documentation shows it, example by example; and what it says when something is wrong."""

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.bundle.export.onnxruntime_web import node_files
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.photos.decoding.decoder import decode_photo
from tests.helpers import Dogvscat, LinearBundle, draw_easy, metrics_with

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^dogvscat export (.+)$", DOCUMENT, re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PHOTOS = {"cat.jpg": "cat", "dog.jpg": "dog", "bicycle.jpg": "neither"}
"""The photos of the document's programs, and what they show."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, skilled_run: Path) -> Path:
    """Where the examples are run: with a run `runs/fast-1`, `photos/`, and three photos that lie on their sides."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "runs").mkdir()
    (folder / "runs" / "fast-1").symlink_to(skilled_run)
    (folder / "photos").symlink_to(skilled_run.parent / "photos")
    exif = Image.Exif()
    exif[0x0112] = 6
    predictor = Predictor.load(skilled_run)
    for name, kind in PHOTOS.items():
        for seed in range(1000, 1020):  # a few are hard for so small a network
            draw_easy(kind, seed, 400).resize((500, 375)).save(folder / name, "JPEG", quality=90, exif=exif)
            (answer,) = predictor.predict([folder / name])
            assert isinstance(answer, Prediction)
            if (answer.label, answer.reason) == (("unsure", "neither") if kind == "neither" else (kind, None)):
                break
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
    assert list(exported) == ["onnx", "litert", "openvino", "savedmodel", "keras", "huggingface", "browser"]
    for command in COMMANDS:
        name, out = command.split()[2], folder / command.split()[-1]
        about = json.loads((out / "preprocessing.json").read_text())
        assert about["format"] == name
        assert (out / about["model"]).exists()
        assert about["parity"]["largest_probability_difference"] <= 1e-3
        assert f"{command.split()[-1]}/{about['model']}\n" in exported[name]
        warned = "answers are compared on pictures drawn by code, not on photographs" in exported[name]
        assert warned == ("--photos" not in command)


def run_program(*blocks: str, folder: Path) -> list[list[str]]:
    """The words of each line that these blocks of the document print, one after the other."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", "\n".join(blocks)]
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr
    return [line.split() for line in process.stdout.splitlines()]


def check_answer(photo: Path, model: Path | str, label: str, reason: str, probability: str) -> Prediction:
    """Whether a program of the document answers as `predict --exact` does; what that answers."""
    (expected,) = Predictor.load(model, exact=True).predict([photo])
    assert isinstance(expected, Prediction)
    assert (label, reason) == (expected.label, str(expected.reason)), photo
    assert float(probability) == pytest.approx(expected.probabilities["dog"], abs=1e-3)
    return expected


def test_the_python_examples_print_what_predict_says(exported: dict[str, str], folder: Path) -> None:
    lines = run_program(*BLOCKS, folder=folder)
    formats = ["onnx", "litert", "openvino", "savedmodel", "keras"]
    assert [line[:2] for line in lines] == [[name, photo] for name in formats for photo in PHOTOS]
    for name, photo, *printed in lines:
        expected = check_answer(folder / photo, "best" if name == "onnx" else folder / "runs" / "fast-1", *printed)
        if name != "onnx":
            kind = PHOTOS[photo]
            assert (expected.label, expected.reason) == (("unsure", "neither") if kind == "neither" else (kind, None))


def test_the_first_example_answers_photographs_as_predict_does(
    exported: dict[str, str], folder: Path, test_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "exported").symlink_to(folder / "exported")
    for name, kind in list(PHOTOS.items())[:2]:
        shutil.copy(min((test_data / "photos" / kind).glob("*.jpg")), tmp_path / name)
    with zipfile.ZipFile(test_data / "neither.zip") as archive:
        first = min(name for name in archive.namelist() if name.endswith(".jpg"))
        (tmp_path / "bicycle.jpg").write_bytes(archive.read(first))
    for _, photo, *printed in run_program(*BLOCKS[:2], folder=tmp_path):
        expected = check_answer(tmp_path / photo, "best", *printed)
        assert expected.label == {"cat": "cat", "dog": "dog", "neither": "unsure"}[PHOTOS[photo]]


@pytest.mark.parametrize("chance", [True, False])
def test_the_examples_read_networks_without_a_second_output(
    linear_bundle: LinearBundle, dogvscat: Dogvscat, tmp_path: Path, chance: bool
) -> None:
    """One that is better than guessing and one that is not."""
    metrics = metrics_with(0.5 if chance else 0.51)
    bundle = linear_bundle(tmp_path / "bundle", unsure=(0.4, 0.6), metrics=metrics)
    for name, color in zip(PHOTOS, ((0, 0, 255), (255, 0, 0), (90, 7, 90)), strict=True):
        Image.new("RGB", (60, 40), color).save(tmp_path / name)
    assert dogvscat("export", bundle, "--format", "onnx", "--out", tmp_path / "exported" / "onnx").returncode == 0
    answers = [
        check_answer(tmp_path / photo, bundle, *printed)
        for _, photo, *printed in run_program(*BLOCKS[:2], folder=tmp_path)
    ]
    labels = [(answer.label, answer.reason) for answer in answers]
    assert labels == ([("unsure", "at_chance")] * 3 if chance else [("cat", None), ("dog", None), ("unsure", "close")])


def test_the_rules_of_an_exports_readme_are_those_of_predict(exported: dict[str, str], folder: Path) -> None:
    """The first of the numbered rules that applies, with its numbers as a program reads them."""
    for command in COMMANDS:
        model = Path("best" if command.split()[0] == "best" else folder / command.split()[0])
        decision, names = Predictor.load(model).card.decision(), ("cat", "dog")
        readme = (folder / command.split()[-1] / "README.md").read_text().split("## Output")[1]
        rules = re.findall(r"^(\d)\. (.+)$", readme, re.MULTILINE)
        has_band = decision.unsure_low < decision.unsure_high
        assert [number for number, _ in rules] == [*"1234"][: 3 + has_band]
        neither, *band, second, first = (rule for _, rule in rules)
        limit = float(neither.removeprefix("`unsure`, reason `neither`: if the sigmoid of `neither` is above ")[:-1])
        low, high = 0.5, 0.5
        for close in band:
            low, high = map(float, close.removeprefix("`unsure`, reason `close`: if ")[:-1].split(" < p < "))
        threshold = float(second.removeprefix("dog: if p >= ")[:-1])
        assert first == "cat: otherwise."
        for p, q in itertools.product(np.linspace(0.0, 1.0, 101), (0.01, limit, limit + 1e-6)):
            reason = "neither" if q > limit + 1e-12 else "close" if low < p < high else ""
            label = "unsure" if reason else names[int(p >= threshold)]
            (expected_reason,) = decision.unsure_reasons(np.array([p]), np.array([np.log(q / (1 - q))]))
            expected = "unsure" if expected_reason else names[decision.predict(np.array([p]))[0]]
            if q != limit:  # its logarithm and back is not exactly the limit again
                assert (label, reason) == (expected, expected_reason)


def test_the_page_decides_as_predict_does(
    exported: dict[str, str], folder: Path, onnxruntime_web: Path, tmp_path: Path
) -> None:
    """Its scripts in Node, on decoded photos."""
    page = Path(shutil.copytree(folder / "exported/page", tmp_path / "page"))
    for name, data in {"package.json": b'{"type": "module"}', **node_files()}.items():
        (page / name).write_bytes(data)
    script = """
        import { readFile } from "node:fs/promises";
        import { Classifier } from "./classifier.js";
        const about = JSON.parse(await readFile("preprocessing.json", "utf8"));
        const classifier = await Classifier.load(new Uint8Array(await readFile("model.onnx")), about);
        for (const chance of [false, true]) {
          about.decision.at_chance = chance;
          for (const name of ["cat.jpg", "dog.jpg", "bicycle.jpg"]) {
            const { label, reason, probabilities } = await classifier.predict(new Uint8Array(await readFile(name)));
            console.log(name, label, reason ?? "None", probabilities.dog);
          }
        }"""
    (page / "ask.js").write_text(script)
    model = folder / "runs" / "fast-1"
    for photo in PHOTOS:
        (page / photo).write_bytes(decode_photo(folder / photo, Predictor.load(model).card.image_size).tobytes())
    process = subprocess.run(["node", "ask.js"], cwd=page, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stderr
    lines = [line.split() for line in process.stdout.splitlines()]
    assert [line[0] for line in lines] == [*PHOTOS, *PHOTOS]
    for photo, *printed in lines[:3]:
        check_answer(folder / photo, model, *printed)
    assert [line[1:3] for line in lines[3:]] == [["unsure", "at_chance"]] * 3


def test_the_documented_preparation_is_the_decoders(exported: dict[str, str], folder: Path) -> None:
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(BLOCKS[0], names)  # our own document
    ours = names["pixels_of"](folder / "dog.jpg", folder / "exported/onnx")
    np.testing.assert_array_equal(ours[0], decode_photo(folder / "dog.jpg", Predictor.load().card.image_size))


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
        ("{bundle} --format keras --out out", 4, "those of the network that its card describes: expected"),
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
