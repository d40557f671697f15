"""Write a bundle: graph, weights, golden pictures, the card, the page for people, and the sha256 of them all."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat import atomic
from dogvscat.bundle.card import Card, FirstNetwork, Provenance
from dogvscat.bundle.checksums import CHECKSUMS_FILE, compute_checksums
from dogvscat.bundle.folder import (
    CARD_FILE,
    DEFAULT_BUNDLE,
    FIRST_FILE,
    GOLDEN_FOLDER,
    MODEL_FILE,
    WEIGHTS_FILE,
)
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.graph_memory import check_graph
from dogvscat.bundle.predict.golden_answers import golden_answers, with_stages
from dogvscat.config import Config
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Decision
from dogvscat.labels import NEITHER, ClassNames
from dogvscat.network.operations import LOGIT, Operation
from dogvscat.network.picture import draw_network
from dogvscat.pages import open_templates
from dogvscat.photos.decoding.decoder import decode
from dogvscat.settings.toml import to_toml
from dogvscat.text import markdown, printable

MODEL_CARD_FILE = "README.md"
NETWORK_PICTURE_FILE = "network.svg"

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


@dataclass(frozen=True)
class FirstGraph:
    """A quick first network."""

    graph: bytes
    """ONNX, with the outputs of the full network."""
    description: FirstNetwork


def publish_bundle(
    folder: Path,
    graph: bytes,
    weights: Mapping[str, np.ndarray],
    class_names: ClassNames,
    config: Config,
    decision: Decision,
    origin: Provenance,
    metrics: dict[str, dict[str, dict[str, Any]]],
    known_failures: Sequence[str] = (),
    fingerprints: Mapping[str, bytes] | None = None,
    first: FirstGraph | None = None,
) -> Card:
    """Write a bundle folder, whole or not at all. An older bundle is replaced, and stays if writing fails.

    Args:
        folder: The bundle folder.
        graph: ONNX, from `pixels` to the calibrated `logit`, and to `neither` if the network has that output.
        weights: All weights of the network by name, float32. Those that the graph has are not stored again.
        class_names: In label order.
        config: Every setting of the training.
        decision: Temperature and bias (already in the graph), and where answers are unsure.
        origin: The data and the code it was trained with.
        metrics: Split -> figure -> value with interval.
        known_failures: Written by a person who looked at its mistakes.
        fingerprints: Files that recognize the photos it learned from, by name, or None.
        first: The first network, or None if the full one answers everything.

    Raises:
        ModelError: if a graph cannot be run, or this installation is not complete.
        WriteError: if the folder cannot be written.
    """
    in_graph = kernels_in_graph(config.network.operations(config.data.image_size))
    packed_weights = _pack_weights({name: values for name, values in weights.items() if name not in in_graph})
    pictures = _golden_files()
    # Not checked yet: it has no golden pictures, whose answers follow from everything else in it.
    draft = Card.model_construct(
        class_names=class_names,
        positive_class=class_names[1],
        image_size=config.data.image_size,
        temperature=decision.temperature,
        bias=decision.bias,
        unsure_low=decision.unsure_low,
        unsure_high=decision.unsure_high,
        neither_limit=decision.neither_limit,
        config=config,
        origin=origin,
        metrics=metrics,
        known_failures=tuple(known_failures),
        first_network=None if first is None else first.description,
        golden=(),
    )
    check_graph(graph, draft, "the new bundle")
    pixels = np.stack([decode(data, name, config.data.image_size) for name, data in pictures.items()])
    golden = golden_answers(draft.rules, list(pictures), run_graph(open_graph(graph, "the new bundle"), pixels))
    if first is not None:
        check_graph(first.graph, draft, "the new bundle", is_quantized=True)
        golden = with_stages(draft.rules, first.graph, golden, pixels)
    card = Card.model_validate({**dict(draft), "golden": golden})
    files = {
        MODEL_FILE: graph,
        **({} if first is None else {FIRST_FILE: first.graph}),
        WEIGHTS_FILE: packed_weights,
        **pictures,
        **(fingerprints or {}),
        NETWORK_PICTURE_FILE: network_picture(config),
        MODEL_CARD_FILE: model_card(card).encode(),
        CARD_FILE: serialize_card(card),
    }
    files[CHECKSUMS_FILE] = compute_checksums(files).serialize()
    atomic.write_folder(folder, files)
    return card


def serialize_card(card: Card) -> bytes:
    """The content of `card.json`."""
    return (card.model_dump_json(indent=2) + "\n").encode()


def model_card(card: Card) -> str:
    """The page of a bundle for people, in Markdown, made only from its card.

    What it is, how good it is, how it was made, what it must not be used for. The form is that of the Hugging Face Hub
    (huggingface.co/docs/hub/model-cards): a front matter that programs read, with the metrics as a `model-index`, then
    Markdown.

    Args:
        card: Of the bundle.
    """
    negative, positive = map(markdown, card.class_names)
    validation, neither = card.metrics.get("validation", {}), card.metrics.get(NEITHER, {})
    # File names and class names were chosen by strangers: whatever the card quotes is made harmless.
    front_matter, metrics = _front_matter(card, validation), [*_titled(card, validation), *_titled_neither(neither)]
    templates = open_templates(
        Path(__file__).parent,
        json=partial(json.dumps, ensure_ascii=False),
        share=lambda value, decimals: f"{value:.{decimals}%}",
    )
    return templates.get_template("model_card.md.jinja").render(
        card=card,
        origin=card.origin,
        front_matter=front_matter,
        negative=negative,
        positive=positive,
        photographs="drawings" if card.origin.drawn_sample else "photographs",
        has_neither=card.config.network.neither_output,
        metrics=metrics,
        accuracy=validation.get("accuracy", {}).get("value"),
        neither_unsure_rate=neither.get("unsure_rate", {}).get("value"),
        network_picture=NETWORK_PICTURE_FILE,
        settings=to_toml(card.config).rstrip(),
    )


def network_picture(config: Config) -> bytes:
    """The layers of a network as a picture, in SVG."""
    operations = config.network.operations(config.data.image_size)
    return draw_network(config.network.stages, operations, config.recipe).svg().encode()


def kernels_in_graph(operations: Sequence[Operation]) -> set[str]:
    """Names of the weights that the ONNX graph of a network holds, some of them with a normalization folded in: all
    kernels except the kernel of the logit, which the graph holds only calibrated."""
    kernels = [operation for operation in operations if operation.kind in ("conv", "dense") and operation.name != LOGIT]
    return {f"{operation.name}.weight" for operation in kernels}


def unpack_weights(data: bytes) -> dict[str, np.ndarray]:
    """What `publish_bundle` stored as weights.

    Raises:
        ModelError: if these are not the bytes of a weights file.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            weights = {name: file[name] for name in file.files}
    except Exception as error:  # NumPy and zipfile raise a dozen types on malformed files
        raise ModelError(f"{WEIGHTS_FILE} is damaged: {error}") from None
    for name, values in weights.items():
        if values.dtype != np.float32 or not np.isfinite(values).all():
            raise ModelError(f"{WEIGHTS_FILE} is damaged: {name} should be finite and float32, it is {values.dtype}")
    return weights


def _pack_weights(weights: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **weights)
    return buffer.getvalue()


def _golden_files() -> dict[str, bytes]:
    """The golden pictures, drawn once by `golden_pictures` of photos/drawing/: the same files in every bundle."""
    pictures = sorted((DEFAULT_BUNDLE / GOLDEN_FOLDER).glob("*.png"))
    if not pictures:
        raise ModelError("this installation contains no golden pictures", hint="Install dogvscat again.")
    return {f"{GOLDEN_FOLDER}/{picture.name}": picture.read_bytes() for picture in pictures}


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
    shown_names = [markdown(name) for name in card.class_names]
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
    return [("photographs that show neither: share answered `unsure`", metric)] if metric else []
