"""The export for Transformers.js: its graph resizes as Pillow does, and its answers are those of `predict --exact`."""

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.learning.onnx_export.huggingface import convert_to_huggingface, write_graph
from dogvscat.photos.drawing.sample import draw
from tests.helpers import LinearBundle, LinearGraph, shared_folder

DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
(SCRIPT,) = re.findall(r"^```js\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PACKAGE = "@huggingface/transformers@4.3.2"
TOLERANCE = 0.03
"""Largest difference in probability that the document states: decoders of JPEG differ where Pillow reduces."""
PHOTOS = ("cat.jpg", "dog.jpg", "bicycle.jpg")  # as in the document

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def opened(graph: bytes) -> Run:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]

    def run(pixels: np.ndarray) -> dict[str, np.ndarray]:
        images = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        return dict(zip(names, session.run(names, {"pixel_values": images}), strict=True))

    return run


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def resize() -> Callable[[np.ndarray], np.ndarray]:
    """The image of side 16 that the network of an export sees: each pixel is read out by a network of its own."""
    from dogvscat.learning.onnx_export.huggingface import _resize_part

    session = onnxruntime.InferenceSession(_resize_part(16, 8).SerializeToString(), providers=["CPUExecutionProvider"])

    def run(pixels: np.ndarray) -> np.ndarray:
        images = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        return np.asarray(session.run(None, {"pixel_values": images})[0][0])

    return run


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [
        *((16, 16, 1), (9, 13, 1), (16, 40, 1), (31, 90, 1), (1, 1, 1), (17, 1000, 1)),
        *(
            (32, 32, 2),
            (33, 47, 2),
            (63, 200, 2),
            (64, 64, 4),
            (67, 101, 4),
            (127, 129, 4),
            (128, 128, 8),
            (301, 207, 8),
        ),
    ],
)
def test_the_graph_resizes_as_pillow_does(
    resize: Callable[[np.ndarray], np.ndarray], height: int, width: int, factor: int
) -> None:
    """Large images are first reduced as JPEGs are, by the mean of squares; Pillow rounds after that, the graph not."""
    pixels = noise(height, width)
    image = Image.fromarray(pixels).reduce(factor) if factor > 1 else Image.fromarray(pixels)
    box = (0, 0, width / factor, height / factor)
    expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR, box)).astype(int)
    difference = np.abs(resize(pixels).astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < (0.05 if factor == 1 else 0.5)


def test_images_of_the_networks_size_have_the_same_answers(linear_bundle: LinearBundle, tmp_path: Path) -> None:
    bundle = load_bundle(linear_bundle(tmp_path / "bundle"))
    pixels = np.stack([noise(32, 32), np.zeros((32, 32, 3), np.uint8)])
    conversion = convert_to_huggingface(bundle, pixels)
    expected = Predictor(bundle, exact=True).logits(pixels)
    assert expected.neither is None
    assert conversion.logits.neither is None
    np.testing.assert_allclose(conversion.logits.positive, expected.positive, atol=1e-5)
    assert "`neither`" not in conversion.readme
    assert conversion.interface["outputs"].keys() == {"logits"}


def test_two_logits_whose_softmax_is_the_probability(linear_graph: LinearGraph) -> None:
    weights = np.zeros((16, 16, 3))
    weights[3, 5, 1] = 2.0
    run = opened(write_graph(linear_graph(weights), 16))
    pixels = noise(16, 16)
    z = 2.0 * pixels[3, 5, 1] / 255
    np.testing.assert_allclose(run(pixels)["logits"], [[0.0, z]], rtol=1e-6)


def test_what_readers_of_the_folder_look_for(bundled_conversion) -> None:
    files = bundled_conversion.files
    config = json.loads(files["config.json"])
    assert config["id2label"] == {"0": "cat", "1": "dog"}
    assert config["label2id"] == {"cat": 0, "dog": 1}
    assert config["transformers.js_config"] == {"dtype": "fp32"}
    preprocessor = json.loads(files["preprocessor_config.json"])
    assert not any(preprocessor[step] for step in ("do_resize", "do_rescale", "do_normalize"))
    start, fields, body = bundled_conversion.readme.split("---\n", 2)
    assert not start
    values = {key: json.loads(value) for key, value in (line.split(": ", 1) for line in fields.splitlines())}
    assert values["library_name"] == "transformers.js"
    assert values["pipeline_tag"] == "image-classification"
    assert values["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"
    assert body.count("## ") == len({*re.findall("^## .*", body, re.MULTILINE)})
    assert "## What it must not be used for" in body
    assert "network.svg" in files


@pytest.fixture(scope="module")
def bundled_conversion():
    """The export of the bundled model."""
    bundle = load_bundle(None)
    size = bundle.card.image_size
    return convert_to_huggingface(bundle, noise(size, size)[None])


@pytest.mark.slow
def test_photos_of_any_size_are_answered_as_by_predict(bundled_conversion, tmp_path: Path) -> None:
    """JPEGs that Pillow decodes in full, as Transformers.js does; `predict` reduces the large ones while decoding."""
    run = opened(bundled_conversion.files["onnx/model.onnx"])
    predictor = Predictor.load(exact=True)
    for seed, size in enumerate([(100, 75), (500, 375), (640, 900), (1600, 1200)]):
        file = tmp_path / f"{seed}.jpg"
        draw("dog" if seed % 2 else "cat", seed, 800).resize(size).save(file, quality=90)
        (answer,) = predictor.predict([file])
        assert isinstance(answer, Prediction)
        outputs = run(np.asarray(Image.open(file)))
        exponentials = np.exp(outputs["logits"][0])
        scores = exponentials / exponentials.sum()
        assert scores[1] == pytest.approx(answer.probabilities["dog"], abs=TOLERANCE)
        assert answer.neither == pytest.approx(1 / (1 + np.exp(-outputs["neither"][0, 0])), abs=2 * TOLERANCE)


@pytest.fixture(scope="session")
def transformers_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds Transformers.js."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node and npm are needed to run Transformers.js")

    def install(folder: Path) -> None:
        folder.mkdir()
        command = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--prefer-offline", "--no-audit"]
        process = subprocess.run(
            [*command, "--no-fund", "--fetch-retries=1", PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            pytest.skip(f"npm could not install {PACKAGE}: {process.stderr[-300:]}")

    return shared_folder(tmp_path_factory, "transformers-js", install)


def scores_in_node(folder: Path, transformers_js: Path) -> dict[str, dict[str, float]]:
    """What the document's program prints in a folder with `exported/huggingface` and the photos: scores by label."""
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(transformers_js / "node_modules")
    (folder / "classify.js").write_text(SCRIPT)
    process = subprocess.run(
        ["node", "classify.js"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr
    lines = [line.split(" ", 1) for line in process.stdout.splitlines()]
    return {photo: {row["label"]: row["score"] for row in json.loads(scores)} for photo, scores in lines}


@pytest.mark.slow
@pytest.mark.data
def test_transformers_js_answers_photographs_as_predict_does(
    bundled_conversion, transformers_js: Path, test_data: Path, tmp_path: Path
) -> None:
    for name, data in bundled_conversion.files.items():
        file = tmp_path / "exported" / "huggingface" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for name, kind in zip(PHOTOS, ("cat", "dog"), strict=False):
        shutil.copy(min((test_data / "photos" / kind).glob("*.jpg")), tmp_path / name)
    with zipfile.ZipFile(test_data / "neither.zip") as archive:
        first = min(name for name in archive.namelist() if name.endswith(".jpg"))
        (tmp_path / "bicycle.jpg").write_bytes(archive.read(first))
    scores = scores_in_node(tmp_path, transformers_js)
    assert list(scores) == list(PHOTOS)
    answers = Predictor.load(exact=True).predict([tmp_path / photo for photo in PHOTOS])
    for photo, answer in zip(PHOTOS, answers, strict=True):
        assert isinstance(answer, Prediction)
        assert scores[photo] == pytest.approx(answer.probabilities, abs=TOLERANCE)
        assert sum(scores[photo].values()) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.slow
def test_transformers_js_turns_photos_upright_and_reads_other_formats(
    linear_bundle: LinearBundle, transformers_js: Path, tmp_path: Path
) -> None:
    """With a network whose answer depends on where the colors are."""
    bundle = load_bundle(linear_bundle(tmp_path / "bundle"))
    for name, data in convert_to_huggingface(bundle, noise(32, 32)[None]).files.items():
        file = tmp_path / "exported" / "huggingface" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = draw("cat", 3, 200).resize((150, 90))
    picture.save(tmp_path / "cat.jpg", quality=95, exif=exif)
    picture.save(tmp_path / "dog.jpg", "PNG")  # the content decides, not the name
    picture.convert("L").save(tmp_path / "bicycle.jpg", quality=95)
    scores = scores_in_node(tmp_path, transformers_js)
    predictor = Predictor.load(tmp_path / "bundle", exact=True)
    upright, png, gray = predictor.predict([tmp_path / photo for photo in PHOTOS])
    for photo, answer in zip(PHOTOS, (upright, png, gray), strict=True):
        assert isinstance(answer, Prediction)
        assert scores[photo] == pytest.approx(answer.probabilities, abs=TOLERANCE)
    assert scores["cat.jpg"]["dog"] != pytest.approx(scores["dog.jpg"]["dog"], abs=0.001)
