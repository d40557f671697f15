"""The page a bundle carries for people: what it is, how good, how it was made, what it must not be used for.

The form is that of the Hugging Face Hub (huggingface.co/docs/hub/model-cards): a front matter that programs read, with
the figures as a `model-index`, then Markdown.
"""

import json
from collections.abc import Mapping
from typing import Any

from dogvscat.bundle.card import Card
from dogvscat.labels import NEITHER
from dogvscat.settings import to_toml
from dogvscat.text import printable

MODEL_CARD_FILE = "README.md"

_FIGURES = {
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
_IN_THE_INDEX = ("accuracy", "roc_auc", "log_loss", "expected_calibration_error")


def model_card(card: Card) -> str:
    """A bundle's page in Markdown, made of nothing but what its card says.

    Args:
        card: Complete but for the sha256 of this page.
    """
    return "\n".join(
        [
            *_front_matter(card),
            "",
            *_what(card),
            "",
            *_figures(card),
            "",
            *_failures(card),
            *_making(card),
            "",
            *_limits(card),
        ]
    )


def _front_matter(card: Card) -> list[str]:
    """Each value as JSON, which YAML includes."""
    figures = _validation(card)
    metrics = [
        {"type": name, "value": round(figures[name]["value"], 4), "name": _FIGURES[name]}
        for name in _IN_THE_INDEX
        if figures.get(name, {}).get("value") is not None
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
    fields: dict[str, Any] = {
        "library_name": "dogvscat",
        "pipeline_tag": "image-classification",
        "tags": ["onnx", "trained-from-scratch", *map(printable, card.class_names)],
        "model-index": [{"name": f"dogvscat {printable(card.config.recipe)}", "results": [result]}],
    }
    return ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()), "---"]


def _what(card: Card) -> list[str]:
    first, second = map(printable, card.class_names)
    size, neither = card.image_size, card.config.network.neither_output
    return [
        f"# {first} or {second}: recipe {printable(card.config.recipe)}",
        "",
        f"Tells {first} from {second} in {_pictures(card)}; learned from scratch, without pretrained weights."
        + (" It learned from DRAWINGS: what it says of photographs means nothing." if card.origin.drawn_sample else ""),
        "",
        f"- In: `pixels`, uint8 (N, {size}, {size}, 3), RGB; photographs of any shape are squashed to that square.",
        f"- Out: `logit`, float32 (N, 1), calibrated: its sigmoid is the probability of {second}."
        + (" `neither`, likewise: its sigmoid tells how much the photograph seems to show neither." if neither else ""),
        (
            f"- Answer: {second} from {card.threshold:.1%} on, {first} below; `unsure` strictly between "
            f"{card.unsure_low:.1%} and {card.unsure_high:.1%}"
            + (f", and where the sigmoid of `neither` is above {card.neither_limit:.1%}." if neither else ".")
        ),
        "- Use: `dogvscat predict PHOTO --model FOLDER`, or `model.onnx` with any ONNX runtime.",
    ]


def _figures(card: Card) -> list[str]:
    rows = []
    for name, title in _FIGURES.items():
        figure = _validation(card).get(name.format(*card.class_names))
        if figure and figure["value"] is not None:
            between = "" if figure["low"] is None else f"{figure['low']:.4f} to {figure['high']:.4f}"
            title = title.format(*map(printable, card.class_names))
            rows.append(f"| {title} | {figure['value']:.4f} | {between} | {figure['n']:,} |")
    return [
        "## How good",
        "",
        (
            f"On validation {_pictures(card)}, which the network did not learn from. Temperature, threshold and unsure "
            "band were cross-fitted: none judged a choice it took part in."
        ),
        "",
        "| figure | value | 95% interval | n |",
        "|---|---|---|---|",
        *rows,
        *_noticed(card),
    ]


def _noticed(card: Card) -> list[str]:
    """The row about photographs of neither, where the network was judged on such."""
    figure = card.metrics.get(NEITHER, {}).get("unsure_rate")
    if not figure:
        return []
    between = f"{figure['low']:.4f} to {figure['high']:.4f}"
    title = "of other photographs, which show neither: share answered `unsure`"
    return [f"| {title} | {figure['value']:.4f} | {between} | {figure['n']:,} |"]


def _failures(card: Card) -> list[str]:
    if not card.known_failures:
        return []
    return ["## Where it errs", "", *(f"- {printable(failure)}" for failure in card.known_failures), ""]


def _making(card: Card) -> list[str]:
    origin = card.origin
    return [
        "## How it was made",
        "",
        (
            f"- {origin.num_train:,} training and {origin.num_validation:,} validation {_pictures(card)}, no copy of "
            f"one among the others. Data digest `{origin.data_digest}`."
            + (f" And {origin.num_neither:,} photographs of neither." if origin.num_neither else "")
        ),
        (
            f"- Weights of epoch {origin.epoch}, seed {card.config.training.seed}, commit `{printable(origin.commit)}`"
            f", on {printable(origin.hardware)}, {printable(origin.created)}."
        ),
        f"- Temperature {card.temperature:.3f}, already inside the graph.",
        "- The same again: put the settings below into a file and run `dogvscat train PHOTOS --config FILE"
        + (" --neither OTHERS`." if origin.num_neither else "`."),
        "",
        "```toml",
        to_toml(card.config).rstrip(),
        "```",
    ]


def _limits(card: Card) -> list[str]:
    first, second = map(printable, card.class_names)
    wrong = (
        f"- Where a wrong answer harms somebody. About {_share_wrong(card)} of its answers on {_pictures(card)} like "
        f"those it learned from are wrong; on {_pictures(card)} from elsewhere expect more."
    )
    neither = (
        f"- To find out whether there is a {first} or a {second} at all: it was taught these two and nothing else, and "
        "names one of them for most photographs that show neither."
    )
    if figure := card.metrics.get(NEITHER, {}).get("unsure_rate"):
        neither = (
            f"- To find out whether there is a {first} or a {second} at all: it names one of them for "
            f"{1 - figure['value']:.0%} of photographs that show neither."
        )
    return ["## What it must not be used for", "", wrong, neither, ""]


def _pictures(card: Card) -> str:
    return "drawings" if card.origin.drawn_sample else "photographs"


def _share_wrong(card: Card) -> str:
    accuracy = _validation(card).get("accuracy", {}).get("value")
    return "an unknown share" if accuracy is None else f"{1 - accuracy:.1%}"


def _validation(card: Card) -> Mapping[str, Mapping[str, Any]]:
    return card.metrics.get("validation", {})
