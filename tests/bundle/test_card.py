"""Hostile and damaged cards are refused by name; a good one says everything about its bundle."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dogvscat.bundle.card import parse_card
from dogvscat.bundle.publish import model_card
from dogvscat.errors import ModelError
from tests.helpers import ChangeCard, EditCard


def test_a_card_tells_classes_decision_and_digests(bundle: Path) -> None:
    card, digest = parse_card(bundle)
    assert card.class_names == ("cat", "dog")
    assert card.positive_class == "dog"
    assert card.image_size == card.config.data.image_size == 32
    assert digest == hashlib.sha256((bundle / "card.json").read_bytes()).hexdigest()
    on_disk = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert {*card.files, "card.json"} == on_disk
    for name, expected in card.files.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == expected


BOTH = ("accuracy", "majority_baseline")

WRONG: dict[str, tuple[EditCard, str]] = {
    "an unknown key": (lambda card: card.update(on_load="import os"), "on_load: Extra inputs"),
    "an unknown key within": (lambda card: card["origin"].update(run="x"), r"origin\.run: Extra inputs"),
    "a layer by its class": (lambda card: card["config"]["network"].update(name="Lambda"), r"config\.network\.name"),
    "an unknown setting": (lambda card: card["config"]["network"].update(module="os"), r"network\.module: Extra"),
    "another format": (lambda card: card.update(format_version=4), "format_version"),
    "no bias": (lambda card: card.pop("bias"), "bias: Field required"),
    "a word for a number": (lambda card: card.update(temperature="warm"), "temperature"),
    "a list for a table": (lambda card: card.update(files=[1, 2]), "files"),
    "a temperature of zero": (lambda card: card.update(temperature=0), "temperature"),
    "a probability above one": (lambda card: card.update(unsure_high=1.5), "unsure_high"),
    "another threshold": (lambda card: card.update(threshold=0.9), "threshold"),
    "a band beside the threshold": (lambda card: card.update(unsure_low=0.2, unsure_high=0.4), "unsure_high"),
    "a word for an accuracy": (
        lambda card: card.update(metrics={"validation": {name: {"low": "high", "value": "low"} for name in BOTH}}),
        "metrics.validation must have numbers",
    ),
    "an accuracy without n": (
        lambda card: card.update(metrics={"validation": {name: {"low": 0.5, "value": 0.7} for name in BOTH}}),
        "metrics.validation must have numbers",
    ),
    "a picture of a million pixels a side": (lambda card: card.update(image_size=10**6), "image_size"),
    "one class": (lambda card: card.update(class_names=["cat"]), "class_names"),
    "three classes": (lambda card: card.update(class_names=["cat", "dog", "owl"]), "class_names"),
    "two equal classes": (lambda card: card.update(class_names=["dog", "dog"]), "two different class_names"),
    "the wrong positive class": (lambda card: card.update(positive_class="cat"), "must be the second of two"),
    "no golden picture": (lambda card: card.update(golden=[]), "golden"),
    "a golden picture elsewhere": (lambda card: card["golden"][0].update(file="../1.png"), r"golden\.0\.file"),
    "a golden picture without a digest": (lambda card: card["files"].pop("golden/1.png"), "every golden picture"),
    "a model without a digest": (lambda card: card["files"].pop("model.onnx"), "must list the model"),
}


@pytest.mark.parametrize(("edit", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_card_that_says_something_impossible_is_refused(
    bundle: Path, change_card: ChangeCard, edit: EditCard, message: str
) -> None:
    change_card(edit)
    with pytest.raises(ModelError, match=rf"card\.json is not a valid card: .*{message}"):
        parse_card(bundle)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("key", ["bias", "temperature"])
def test_what_is_not_a_number_is_refused(bundle: Path, change_card: ChangeCard, key: str, constant: str) -> None:
    change_card(lambda card: card.update({key: float(constant)}))
    with pytest.raises(ModelError, match=rf"card\.json is not JSON: {constant} is not a number"):
        parse_card(bundle)


def test_a_nan_among_the_metrics_is_refused(bundle: Path, change_card: ChangeCard) -> None:
    change_card(lambda card: card.update(metrics={"validation": {"accuracy": {"value": float("nan")}}}))
    with pytest.raises(ModelError, match="NaN is not a number"):
        parse_card(bundle)


NOT_JSON = {
    "nothing": b"",
    "garbage": b"\x00\xff\xfe\x80" * 100,
    "half a card": b'{"format_version": 1, "class_names": ["cat", ',
    "very deep": b"[" * 200_000,
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_card_that_is_not_json_is_refused(bundle: Path, data: bytes) -> None:
    (bundle / "card.json").write_bytes(data)
    with pytest.raises(ModelError, match=r"card\.json is not JSON"):
        parse_card(bundle)


@pytest.mark.parametrize("data", [b"null", b"[]", b'"card"', b"7"])
def test_json_that_is_no_table_is_refused(bundle: Path, data: bytes) -> None:
    (bundle / "card.json").write_bytes(data)
    with pytest.raises(ModelError, match="is not a valid card: card:"):
        parse_card(bundle)


def test_a_card_of_ten_megabytes_is_not_even_read(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(card) + " " * 10_000_000)
    with pytest.raises(ModelError, match="larger than 4,194,304 bytes; no card is that large"):
        parse_card(bundle)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a bundle: it has no card\.json"):
        parse_card(tmp_path)


def test_a_card_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ModelError, match=r"card\.json cannot be read: Is a directory"):
        parse_card(tmp_path)


def test_a_card_of_an_earlier_version_says_what_to_do(bundle: Path, change_card: ChangeCard) -> None:
    change_card(lambda card: card.update(format_version=1, threshold=0.68))
    with pytest.raises(ModelError, match="format_version: Input should be 3") as caught:
        parse_card(bundle)
    assert "Use it with that version, or train again." in str(caught.value.hint)


@pytest.mark.parametrize(("low", "majority", "guesses"), [(0.51, 0.5, False), (0.5, 0.5, True), (0.55, 0.6, True)])
def test_a_network_at_chance_is_unsure_of_everything(low: float, majority: float, guesses: bool, bundle: Path) -> None:
    figure = {"value": 0.62, "low": low, "high": 0.7, "n": 1234, "method": "wilson"}
    metrics = {"validation": {"accuracy": figure, "majority_baseline": figure | {"value": majority}}}
    card = parse_card(bundle)[0].model_copy(update={"metrics": metrics})
    decision = card.decision()
    y_prob = np.array([0.0, 0.3, 0.5, 1.0])
    assert decision.is_unsure(y_prob).tolist() == [guesses] * 4
    assert decision.unsure_reasons(y_prob, y_prob).tolist() == ["at_chance" if guesses else ""] * 4
    expected = (
        f"This network is no better than guessing: its accuracy on 1,234 validation photos is 62.0% (95%: {low:.1%} to "
        f"70.0%), and always naming the majority class is correct for {majority:.1%}. So every answer is `unsure`."
    )
    assert card.warnings == [expected] * guesses
    assert (expected in model_card(card)) == guesses
    assert ("- Answer: always `unsure`." in model_card(card)) == guesses
