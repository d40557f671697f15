"""Hostile and damaged cards are refused by name; a good one says everything about its bundle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dogvscat.bundle.folder import load_bundle, load_card
from dogvscat.bundle.publish import model_card
from dogvscat.errors import ModelError
from tests.helpers import ChangeCard, EditCard, seal


def test_a_card_tells_classes_and_decision(bundle: Path) -> None:
    card = load_card(bundle)
    assert card.class_names == ("cat", "dog")
    assert card.positive_class == "dog"
    assert card.image_size == card.config.data.image_size == 32


@pytest.mark.parametrize("name", ["best", "linear"])
def test_the_quick_reader_of_a_card_and_the_checking_one_agree(bundle: Path, name: str) -> None:
    loaded = load_bundle(bundle if name == "linear" else None)
    assert loaded.rules == loaded.card.rules
    assert loaded.rules.warnings == loaded.card.warnings


@pytest.mark.parametrize("key", ["unsure_low", "unsure_high", "neither_limit", "image_size"])
def test_numbers_as_text_are_refused(bundle: Path, change_card: ChangeCard, key: str) -> None:
    """Pydantic takes them, and the quick reader would not."""
    change_card(lambda card: card.update({key: str(card[key])}))
    with pytest.raises(ModelError, match=r"card\.json is not a valid card: it has numbers as text"):
        load_bundle(bundle)


BOTH = ("accuracy", "majority_baseline")


def changed_figure(**changes: Any) -> dict[str, Any]:
    """Metrics whose only figure is sound except for these changes."""
    figure = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 9, "method": "wilson"}
    return {"validation": {"accuracy": {**figure, **changes}}}


WRONG: dict[str, tuple[EditCard, str]] = {
    "an unknown key": (lambda card: card.update(on_load="import os"), "on_load: Extra inputs"),
    "an unknown key within": (lambda card: card["origin"].update(run="x"), r"origin\.run: Extra inputs"),
    "a layer by its class": (lambda card: card["config"]["network"].update(name="Lambda"), r"config\.network\.name"),
    "an unknown setting": (lambda card: card["config"]["network"].update(module="os"), r"network\.module: Extra"),
    "another format": (lambda card: card.update(format_version=6), "format_version"),
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
    "a band that holds everything": (lambda card: card.update(unsure_low=0.0, unsure_high=1.0), "unsure_low"),
    "a band up to one": (lambda card: card.update(unsure_high=1.0), "unsure_high"),
    "everything shows neither": (lambda card: card.update(neither_limit=0.0), "neither_limit"),
    "a temperature that no calibration gives": (lambda card: card.update(temperature=1e300), "temperature"),
    "a bias that no calibration gives": (lambda card: card.update(bias=-1e300), "bias"),
    "classes in the other order": (
        lambda card: card.update(class_names=["dog", "cat"], positive_class="cat"),
        "in alphabetical order",
    ),
    "a class named unsure": (
        lambda card: card.update(class_names=["dog", "unsure"], positive_class="unsure"),
        "must be names of classes",
    ),
    "a size that its settings do not have": (lambda card: card.update(image_size=64), "must be that of config, 32"),
    "no training photos": (lambda card: card["origin"].update(num_train=0), r"origin\.num_train"),
    "fewer photos than none": (lambda card: card["origin"].update(num_neither=-1), r"origin\.num_neither"),
    "epoch zero": (lambda card: card["origin"].update(epoch=0), r"origin\.epoch"),
    "a time that is none": (lambda card: card["origin"].update(created="yesterday"), r"origin\.created"),
    "a digest that is none": (lambda card: card["origin"].update(data_digest="<b>"), r"origin\.data_digest"),
    "a share above one": (lambda card: card.update(metrics=changed_figure(value=1.5)), "metrics.validation must have"),
    "an interval turned around": (lambda card: card.update(metrics=changed_figure(low=0.9)), "must have numbers"),
    "true instead of a number": (lambda card: card.update(metrics=changed_figure(value=True)), "must have numbers"),
    "less than no photos": (lambda card: card.update(metrics=changed_figure(n=-9)), "must have numbers"),
    "a method of its own": (lambda card: card.update(metrics=changed_figure(method="<b>")), "must have numbers"),
    "a golden answer with other classes": (
        lambda card: card["golden"][0].update(probabilities={"cat": 0.5, "owl": 0.5}),
        r"probabilities of golden/1\.png must be of cat and dog",
    ),
    "golden probabilities that do not add up": (
        lambda card: card["golden"][0].update(probabilities={"cat": 0.9, "dog": 0.9}),
        "add up to 1",
    ),
    "a golden answer with the other label": (
        lambda card: card["golden"][0].update(label={"cat": "dog", "dog": "cat"}[card["golden"][0]["label"]]),
        r"golden/1\.png must have the label that its probabilities give",
    ),
    "a golden answer with a reason": (lambda card: card["golden"][0].update(reason="close"), "must have the label"),
    "limits that turn a golden answer": (
        lambda card: card.update(unsure_low=0.001, unsure_high=0.999),
        r"unsure \(reason: close\)",
    ),
}


@pytest.mark.parametrize(("edit", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_card_that_says_something_impossible_is_refused(
    bundle: Path, change_card: ChangeCard, edit: EditCard, message: str
) -> None:
    change_card(edit)
    with pytest.raises(ModelError, match=rf"card\.json is not a valid card: .*{message}"):
        load_card(bundle)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("key", ["bias", "temperature"])
def test_what_is_not_a_number_is_refused(bundle: Path, change_card: ChangeCard, key: str, constant: str) -> None:
    change_card(lambda card: card.update({key: float(constant)}))
    with pytest.raises(ModelError, match=rf"card\.json is not JSON: {constant} is not a number"):
        load_card(bundle)


def test_a_nan_among_the_metrics_is_refused(bundle: Path, change_card: ChangeCard) -> None:
    change_card(lambda card: card.update(metrics={"validation": {"accuracy": {"value": float("nan")}}}))
    with pytest.raises(ModelError, match="NaN is not a number"):
        load_card(bundle)


NOT_JSON = {
    "nothing": b"",
    "garbage": b"\x00\xff\xfe\x80" * 100,
    "half a card": b'{"format_version": 1, "class_names": ["cat", ',
    "very deep": b"[" * 200_000,
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_card_that_is_not_json_is_refused(bundle: Path, data: bytes) -> None:
    (bundle / "card.json").write_bytes(data)
    seal(bundle)
    with pytest.raises(ModelError, match=r"card\.json is not JSON"):
        load_card(bundle)


@pytest.mark.parametrize("data", [b"null", b"[]", b'"card"', b"7"])
def test_json_that_is_no_table_is_refused(bundle: Path, data: bytes) -> None:
    (bundle / "card.json").write_bytes(data)
    seal(bundle)
    with pytest.raises(ModelError, match="is not a valid card: card:"):
        load_card(bundle)


def test_a_key_that_appears_twice_is_refused(bundle: Path) -> None:
    text = (bundle / "card.json").read_text()
    (bundle / "card.json").write_text(text.replace("{", '{"unsure_low": 0.5, ', 1))
    seal(bundle)
    with pytest.raises(ModelError, match=r"card\.json is not JSON: a key appears twice"):
        load_card(bundle)


def test_a_card_of_ten_megabytes_is_not_even_read(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(card) + " " * 10_000_000)
    seal(bundle)
    with pytest.raises(ModelError, match="larger than 4,194,304 bytes; no file of a bundle is that large"):
        load_card(bundle)


def test_a_card_of_an_earlier_version_says_what_to_do(bundle: Path, change_card: ChangeCard) -> None:
    change_card(lambda card: card.update(format_version=1, threshold=0.68))
    with pytest.raises(ModelError, match="format_version: Input should be 5") as caught:
        load_card(bundle)
    assert "Use it with that version, or train again." in str(caught.value.hint)


@pytest.mark.parametrize(("low", "majority", "guesses"), [(0.51, 0.5, False), (0.5, 0.5, True), (0.55, 0.6, True)])
def test_a_network_at_chance_is_unsure_of_everything(low: float, majority: float, guesses: bool, bundle: Path) -> None:
    figure = {"value": 0.62, "low": low, "high": 0.7, "n": 1234, "method": "wilson"}
    metrics = {"validation": {"accuracy": figure, "majority_baseline": figure | {"value": majority}}}
    card = load_card(bundle).model_copy(update={"metrics": metrics})
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
