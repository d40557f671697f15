"""A bundle with a first network: its sure answers count, the full network gives the others, whatever else is asked."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from dogvscat import caches, evaluate
from dogvscat.bundle.card import FirstNetwork
from dogvscat.bundle.folder import DEFAULT_BUNDLE, load_bundle, load_card
from dogvscat.bundle.graph import run_graph
from dogvscat.bundle.predict.golden import FIRST_TOLERANCE
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import FirstGraph
from dogvscat.errors import ModelError
from dogvscat.judging.intervals import wilson
from dogvscat.photos.decoding.decoder import decode
from tests.helpers import ChangeCard, Dogvscat, LinearBundle, LinearGraph, json_lines, plain_png, seal

SIZE = 32
MARGINS = 2.0, 0.5
BAND = 0.3, 0.7  # log-odds -0.85 and 0.85


def weights(green: float = 0.0) -> np.ndarray:
    """Of a network that answers dog for red, cat for blue, and looks more at the left half."""
    values = np.zeros((SIZE, SIZE, 3))
    values[:, : SIZE // 2, 0], values[:, SIZE // 2 :, 0], values[:, :, 1], values[:, :, 2] = 12.0, 4.0, green, -8.0
    return values / SIZE**2


@pytest.fixture
def bundle(tmp_path: Path, linear_bundle: LinearBundle, linear_graph: LinearGraph) -> Path:
    """A bundle whose first network also adds a little for green."""
    description = FirstNetwork(
        one_view_margin=MARGINS[0],
        two_views_margin=MARGINS[1],
        agreement=vars(wilson(999, 1000)),
        one_view_share=0.8,
        two_views_share=0.1,
    )
    first = FirstGraph(linear_graph(weights(green=0.3)), description)
    return linear_bundle(tmp_path / "bundle", graph=linear_graph(weights()), unsure=BAND, first=first)


def pictures(count: int = 300) -> np.ndarray:
    """Halves of different colors, which give log-odds of every size: uint8 (count, SIZE, SIZE, 3)."""
    colors = np.random.default_rng(0).integers(0, 256, (count, 1, 2, 3), dtype=np.uint8)
    return np.repeat(np.repeat(colors, SIZE, axis=1), SIZE // 2, axis=2)


def log_odds(pixels: np.ndarray, green: float = 0.0) -> np.ndarray:
    return np.asarray((pixels.astype(np.float64) / 255 * weights(green)).sum(axis=(1, 2, 3)))


def test_each_stage_answers_what_those_before_it_are_not_sure_of(bundle: Path) -> None:
    pixels = pictures()
    one_view, full = log_odds(pixels, 0.3), log_odds(pixels)
    two_views = (one_view + log_odds(pixels[:, :, ::-1], 0.3)) / 2
    limits = np.log([3 / 7, 1, 7 / 3])
    is_sure = [
        np.abs(answer[:, None] - limits).min(axis=1) >= margin
        for answer, margin in zip((one_view, two_views), MARGINS, strict=True)
    ]
    stage = np.select(is_sure, [0, 1], 2)
    assert min(np.bincount(stage)) > 20
    received = Predictor.load(bundle).answer_logits(pixels)
    assert received.neither is None
    expected = np.select(is_sure, [one_view, two_views], full)
    np.testing.assert_allclose(received.positive, expected, atol=1e-4)


def test_an_answer_depends_on_its_picture_only(bundle: Path) -> None:
    predictor, pixels = Predictor.load(bundle, threads=2), pictures()
    names = [str(number) for number in range(len(pixels))]
    alone = {name: predictor.predict_pixels(image[None], [name])[0] for name, image in zip(names, pixels, strict=True)}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(pixels))
        for part in np.array_split(order, 40 * (seed + 1)):
            received = predictor.predict_pixels(pixels[part], [names[index] for index in part])
            assert received == [alone[names[index]] for index in part]
    streamed = predictor.predict([*pixels])
    assert [answer.probabilities for answer in streamed if isinstance(answer, Prediction)] == [
        alone[name].probabilities for name in names
    ]


def test_exact_answers_are_those_of_the_full_network(bundle: Path) -> None:
    pixels = pictures()
    predictor = Predictor.load(bundle, exact=True)
    np.testing.assert_array_equal(predictor.answer_logits(pixels).positive, predictor.logits(pixels).positive)
    np.testing.assert_allclose(predictor.logits(pixels).positive, log_odds(pixels), atol=1e-4)
    np.testing.assert_array_equal(Predictor.load(bundle).logits(pixels).positive, predictor.logits(pixels).positive)


def test_commands_ask_the_full_network_if_they_are_told_to(bundle: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    (tmp_path / "dog").mkdir()
    photo = tmp_path / "dog" / "photo.png"
    photo.write_bytes(plain_png((255, 255, 0)))
    answers = []
    for options in ([], ["--exact"]):
        result = dogvscat("predict", "--json", "--model", bundle, *options, photo)
        assert result.returncode == 0, result.stderr
        answers.append(json_lines(result.stdout)[0]["probabilities"]["dog"])
    assert np.log(np.array(answers) / (1 - np.array(answers))) == pytest.approx([8.3, 8.0], abs=1e-3)


def test_results_of_both_kinds_are_not_mixed(bundle: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(plain_png((255, 255, 0)))
    command = ("predict", "--model", bundle, "--out", tmp_path / "rows.csv", photo)
    assert dogvscat(*command).returncode == 0
    before = (tmp_path / "rows.csv").read_bytes()
    result = dogvscat(*command, "--exact")
    assert result.returncode == 2
    assert "holds predictions of another model" in result.stderr
    assert f"{load_bundle(bundle).name}-exact" in result.stderr
    assert (tmp_path / "rows.csv").read_bytes() == before


def test_evaluations_ask_the_full_network_if_they_are_told_to(bundle: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    for label, color in {"cat": (0, 255, 255), "dog": (255, 255, 0)}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "photo.png").write_bytes(plain_png(color))
    for number, (option, expected) in enumerate({"": [-7.7, 8.3], "--exact": [-8.0, 8.0]}.items()):
        out = tmp_path / str(number)
        result = dogvscat("evaluate", bundle, tmp_path / "photos", "--out", out, *option.split())
        assert result.returncode == 0, result.stderr
        rows = csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines())
        from_command = np.array([float(row["probability_dog"]) for row in rows])
        evaluation = evaluate(bundle, tmp_path / "photos", exact=bool(option), report=lambda message: None)
        from_python = evaluation.results["all"].predictions.y_prob
        for y_prob in (from_command, from_python):
            assert np.log(y_prob / (1 - y_prob)) == pytest.approx(expected, abs=2e-3)


def rename_missing(bundle: Path) -> None:
    (bundle / "first.onnx").unlink()


def forget(bundle: Path) -> None:
    (bundle / "first.onnx").unlink()
    seal(bundle)


def flip_a_bit(bundle: Path) -> None:
    data = bytearray((bundle / "first.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "first.onnx").write_bytes(data)


def put_garbage(bundle: Path) -> None:
    (bundle / "first.onnx").write_bytes(b"garbage")
    seal(bundle)


def put_bomb(bundle: Path) -> None:
    """Needs 8 GB for one image."""
    model = onnx.load(bundle / "first.onnx")
    numbers = model.graph.node[0].output[0]
    for count in range(20):
        model.graph.node.append(onnx.helper.make_node("Concat", [numbers, numbers], [f"d{count}"], axis=1))
        numbers = f"d{count}"
    onnx.save(model, bundle / "first.onnx")
    seal(bundle)


DAMAGE = {
    "missing": (rename_missing, r"first\.onnx cannot be read: No such file"),
    "missing, and not listed": (forget, r"has no first\.onnx, and its card describes a first network"),
    "a flipped bit": (flip_a_bit, r"first\.onnx is not the file this bundle was made with"),
    "garbage": (put_garbage, r"the graph in .*first\.onnx cannot be run"),
    "a bomb": (put_bomb, r"the graph in .*first\.onnx cannot be run: it needs [\d,]+ MB"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_first_network_is_refused(bundle: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(bundle)
    for exact in (False, True):
        with pytest.raises(ModelError, match=message):
            Predictor.load(bundle, exact=exact)


def without_first(card: dict[str, Any]) -> None:
    card["first_network"] = None
    for picture in card["golden"]:
        picture["first"] = None


def other_margins(card: dict[str, Any]) -> None:
    card["first_network"]["one_view_margin"] = 0.0


def other_outputs(card: dict[str, Any]) -> None:
    card["golden"][0]["first"]["one_view"]["neither"] = 0.5


def half_a_golden_answer(card: dict[str, Any]) -> None:
    card["golden"][0]["first"] = None


EDITS = {
    "no first network": (without_first, r"has a first\.onnx, and its card describes no first network"),
    "margins of another bundle": (other_margins, r"must be answered by the stage that the margins"),
    "outputs of another network": (other_outputs, r"both networks must have the same outputs"),
    "a golden answer is missing": (
        half_a_golden_answer,
        r"must have answers of the first network, which the card describes",
    ),
    "a negative margin": (lambda card: card["first_network"].update(two_views_margin=-1.0), "two_views_margin"),
    "an impossible share": (lambda card: card["first_network"]["agreement"].update(value=2.0), "agreement"),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS.keys())
def test_a_card_that_does_not_belong_to_the_first_network_is_refused(
    bundle: Path, change_card: ChangeCard, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    change_card(edit)
    with pytest.raises(ModelError, match=message):
        load_bundle(bundle)


def test_golden_pictures_hold_the_first_network_to_its_answers(bundle: Path, change_card: ChangeCard) -> None:
    def shift(card: dict[str, Any], difference: float) -> None:
        card["golden"][1]["first"]["two_views"]["positive"] += difference

    change_card(lambda card: shift(card, 0.5 * FIRST_TOLERANCE))
    assert Predictor.load(bundle)
    change_card(lambda card: shift(card, FIRST_TOLERANCE))
    assert Predictor.load(bundle, exact=True)
    with pytest.raises(ModelError, match=r"golden/2\.png should have the log-odds .* in first\.onnx") as caught:
        Predictor.load(bundle)  # although --exact has found the full network to be right
    assert "`--exact` does not use this network" in str(caught.value.hint)


def test_exact_use_and_other_use_are_verified_separately(bundle: Path) -> None:
    Predictor.load(bundle, exact=True)
    assert [file.name for file in caches.folder("verified").iterdir()] == [f"{load_bundle(bundle).digest}-exact"]
    Predictor.load(bundle)
    assert len([*caches.folder("verified").iterdir()]) == 2


def test_where_the_first_network_cannot_run_the_full_one_answers_and_says_so_once(
    bundle: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    """A graph of the right size that the runtime does not know how to compute: float32 times float16."""
    model = onnx.load(bundle / "first.onnx")
    next(node for node in model.graph.node if node.op_type == "Cast").attribute[0].i = TensorProto.FLOAT16
    onnx.save(model, bundle / "first.onnx")
    seal(bundle)
    predictor, pixels = Predictor.load(bundle), pictures(20)
    np.testing.assert_array_equal(predictor.answer_logits(pixels).positive, predictor.logits(pixels).positive)
    assert predictor.warnings == [predictor.problem]
    photo = tmp_path / "photo.png"
    photo.write_bytes(plain_png("red"))
    result = dogvscat("predict", "--model", bundle, *[photo] * 9)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("dog ") >= 9
    assert result.stderr.count("The full network answers everything, which takes longer") == 1


def test_the_bundled_model_has_a_first_network_that_gives_enough_equal_labels() -> None:
    card = load_card()
    assert card.first_network is not None
    assert card.first_network.agreement["n"] == card.origin.num_validation
    assert card.first_network.agreement["value"] >= 0.998
    assert {picture.first.stage for picture in card.golden if picture.first} <= {1, 2, 3}


def test_integers_give_the_answers_of_the_same_graph_in_floats() -> None:
    """Without optimization, ONNX Runtime computes in float32, on numbers rounded to 8 bits, as on any processor."""
    bundle = load_bundle()
    assert bundle.first is not None
    pixels = np.stack([decode(bundle.read(golden.file), "", bundle.card.image_size) for golden in bundle.card.golden])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(bundle.first, options, providers=["CPUExecutionProvider"])
    assert bundle.folder == DEFAULT_BUNDLE
    recorded = [picture.first.one_view for picture in bundle.card.golden if picture.first]
    received = run_graph(session, pixels)
    assert received.neither is not None
    np.testing.assert_allclose(received.positive, [view.positive for view in recorded], atol=FIRST_TOLERANCE)
    np.testing.assert_allclose(received.neither, [view.neither or 0.0 for view in recorded], atol=FIRST_TOLERANCE)
