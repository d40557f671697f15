"""The page of a bundle for people: what it is, how good it is, how it was made, what it must not be used for.

The form is that of the Hugging Face Hub (huggingface.co/docs/hub/model-cards): a front matter that programs read, with
the metrics as a `model-index`, then Markdown.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dogvscat.bundle.card import Card
from dogvscat.labels import NEITHER
from dogvscat.pages import open_templates
from dogvscat.photos.sources import SYNTHETIC_WARNING
from dogvscat.settings import to_toml
from dogvscat.text import printable

MODEL_CARD_FILE = "README.md"

_TITLES = {
    "accuracy": "accuracy",
    "precision_{0}": "precision of {0}",
    "recall_{0}": "recall of {0}",
    "precision_{1}": "precision of {1}",
    "recall_{1}": "recall of {1}",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss, nats",
    "expected_calibration_error": "expected calibration error",
    "unsure_rate": "share answered `unsure`",
    "selective_accuracy": "accuracy of the other answers",
}
"""Title by metric; {0} and {1} stand for the names of the classes."""
_INDEXED = ("accuracy", "roc_auc", "log_loss", "expected_calibration_error")
"""The metrics in the front matter."""


def model_card(card: Card) -> str:
    """The page of a bundle in Markdown, made only from its card.

    Args:
        card: Complete except for the sha256 of this page.
    """
    negative, positive = map(printable, card.class_names)
    validation, neither = card.metrics.get("validation", {}), card.metrics.get(NEITHER, {})
    template = open_templates(Path(__file__).parent, json=_to_json, share=_as_share).get_template("model_card.md.jinja")
    # File names and class names were chosen by strangers: whatever the card quotes is made printable.
    return template.render(
        card=card,
        origin=card.origin,
        front_matter=_front_matter(card, validation),
        negative=negative,
        positive=positive,
        photographs="drawings" if card.origin.drawn_sample else "photographs",
        synthetic_warning=SYNTHETIC_WARNING,
        has_neither=card.config.network.neither_output,
        metrics=[*_titled(card, validation), *_titled_neither(neither)],
        accuracy=validation.get("accuracy", {}).get("value"),
        neither_unsure_rate=neither.get("unsure_rate", {}).get("value"),
        settings=to_toml(card.config).rstrip(),
    )


def _front_matter(card: Card, validation: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fields that programs read. The template writes each value as JSON, which is valid YAML."""
    metrics = [
        {"type": name, "value": round(validation[name]["value"], 4), "name": _TITLES[name]}
        for name in _INDEXED
        if validation.get(name, {}).get("value") is not None
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {
            "type": "imagefolder",
            "name": f"data digest {card.origin.data_digest[:16]}",
            "split": "validation",
        },
        "metrics": metrics,
    }
    return {
        "library_name": "dogvscat",
        "pipeline_tag": "image-classification",
        "tags": ["onnx", "trained-from-scratch", *map(printable, card.class_names)],
        "model-index": [{"name": f"dogvscat {printable(card.config.recipe)}", "results": [result]}],
    }


def _titled(card: Card, validation: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Title and value of each metric that is defined, in the order of `_TITLES`."""
    shown_names = [printable(name) for name in card.class_names]
    metrics = []
    for key, title in _TITLES.items():
        metric = validation.get(key.format(*card.class_names))
        if metric and metric["value"] is not None:
            # The key holds the names as they are, the title as they can be shown.
            metrics.append((title.format(*shown_names), metric))
    return metrics


def _titled_neither(neither: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """The row on photographs that show neither class, if the network was evaluated on such."""
    metric = neither.get("unsure_rate")
    return [("share answered `unsure` of photographs that show neither", metric)] if metric else []


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_share(value: float, decimals: int) -> str:
    return f"{value:.{decimals}%}"
