"""The page for people says what the card says, and programs can read its front matter."""

import json
from pathlib import Path
from typing import Any

import pytest

from dogvscat.bundle.folder import DEFAULT_BUNDLE, load_bundle, load_card
from dogvscat.bundle.publish import MODEL_CARD_FILE, NETWORK_PICTURE_FILE, model_card, network_picture
from dogvscat.errors import ModelError
from dogvscat.settings.resolve import resolve_config
from tests.helpers import LinearBundle


def front_matter(page: str) -> dict[str, Any]:
    """Each line is a key and JSON, which is YAML as well."""
    start, head, _ = page.split("---\n", 2)
    assert start == ""
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in head.splitlines())}


def test_the_front_matter_holds_the_shipped_model_s_figures() -> None:
    card = load_bundle(None).card
    fields = front_matter(model_card(card))
    assert fields["pipeline_tag"] == "image-classification"
    (model,) = fields["model-index"]
    (result,) = model["results"]
    figures = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert figures["accuracy"] == pytest.approx(card.metrics["validation"]["accuracy"]["value"], abs=5e-5)
    assert set(figures) == {"accuracy", "roc_auc", "log_loss", "expected_calibration_error"}
    assert card.origin.data_digest.startswith(result["dataset"]["name"].removeprefix("data digest "))


def test_the_shipped_page_and_picture_are_those_that_the_card_gives() -> None:
    card = load_bundle(None).card
    assert (DEFAULT_BUNDLE / MODEL_CARD_FILE).read_text(encoding="utf-8") == model_card(card)
    assert (DEFAULT_BUNDLE / NETWORK_PICTURE_FILE).read_bytes() == network_picture(card.config)


def test_the_page_gives_intervals_and_settings_that_read_back(tmp_path: Path) -> None:
    card = load_bundle(None).card
    page = model_card(card)
    accuracy = card.metrics["validation"]["accuracy"]
    row = (
        f"| accuracy | {accuracy['value']:.4f} | {accuracy['low']:.4f} to {accuracy['high']:.4f} | {accuracy['n']:,} |"
    )
    assert row in page.splitlines()
    settings = tmp_path / "settings.toml"
    settings.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert resolve_config("classic", settings) == card.config


def test_odd_class_names_break_neither_the_front_matter_nor_the_text(
    linear_bundle: LinearBundle, tmp_path: Path
) -> None:
    card = load_card(linear_bundle(tmp_path / "bundle"))
    names = ('a: "b"', "c\n---\nd")
    odd = card.model_copy(update={"class_names": names, "positive_class": names[1]})
    fields = front_matter(model_card(odd))
    assert isinstance(fields["tags"], list)
    assert fields["tags"][-2] == 'a: "b"'
    assert "\n---\nd" not in model_card(odd)


def test_markup_in_names_is_shown_and_not_run(linear_bundle: LinearBundle, tmp_path: Path) -> None:
    names = ("<img src=x onerror=alert(1)>", "[click](javascript:alert(1)) | *b* `c`")
    figure = {"value": 0.6, "low": 0.5, "high": 0.8, "n": 9, "method": "wilson"}
    metrics = {"validation": {f"precision_{name}": figure for name in names}}
    page = model_card(load_card(linear_bundle(tmp_path / "bundle", class_names=names, metrics=metrics)))
    text = page.split("---\n", 2)[2]  # behind the front matter, which is JSON
    assert "<img" not in text.replace("\\<img", "")
    assert "[click]" not in text.replace("\\[click\\]", "")
    assert "*b*" not in text
    (row,) = (line for line in text.splitlines() if line.startswith("| precision of \\["))
    assert row.replace("\\|", "").count("|") == 5


def test_a_published_page_is_vouched_for(linear_bundle: LinearBundle, tmp_path: Path) -> None:
    folder = linear_bundle(tmp_path / "bundle")
    assert (folder / "README.md").read_text(encoding="utf-8") == model_card(load_card(folder))
    (folder / "README.md").write_text("better than it is")
    with pytest.raises(ModelError, match=r"README.md is not the file this bundle was made with"):
        load_bundle(folder)
