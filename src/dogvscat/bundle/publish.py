"""Write a bundle: graph, weights, golden pictures, and the card with the sha256 of them all."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat import atomic
from dogvscat.bundle.card import CARD_FILE, GOLDEN_FOLDER, MODEL_FILE, WEIGHTS_FILE, Card, GoldenPicture, Provenance
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.model_card import MODEL_CARD_FILE, model_card
from dogvscat.config import Config
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Decision
from dogvscat.labels import ClassNames
from dogvscat.photos.decoder import decode
from dogvscat.photos.drawing import golden_pictures

_GOLDEN_SIZE = 160  # pixels per side


def publish_bundle(
    folder: Path,
    graph: bytes,
    weights: Sequence[np.ndarray],
    class_names: ClassNames,
    config: Config,
    decision: Decision,
    origin: Provenance,
    metrics: dict[str, dict[str, dict[str, Any]]],
    known_failures: Sequence[str] = (),
) -> Card:
    """Write a bundle folder, whole or not at all. An older bundle is replaced, and stays if writing fails.

    Args:
        folder: The bundle folder.
        graph: ONNX, from `pixels` to the calibrated `logit`, and to `neither` if the network has that output.
        weights: The network's weights, in its order; stored in half precision, which is enough to continue training.
        class_names: In label order.
        config: Every setting of the training.
        decision: Temperature (already in the graph), threshold, and where answers are unsure.
        origin: The data and the code it was trained with.
        metrics: Split -> figure -> value with interval.
        known_failures: Written by a person who looked at its mistakes.

    Raises:
        ModelError: if the graph cannot be run.
        WriteError: if the folder cannot be written.
    """
    pictures = _golden_files()
    session = open_graph(graph, "the new bundle")
    pixels = np.stack([decode(data, name, config.data.image_size) for name, data in pictures.items()])
    # The default decision has temperature 1: the logits of the graph are calibrated.
    y_prob = Decision().probabilities(run_graph(session, pixels).positive)  # (num_golden,)
    files = {MODEL_FILE: graph, WEIGHTS_FILE: _pack_weights(weights), **pictures}
    card = Card(
        class_names=class_names,
        positive_class=class_names[1],
        image_size=config.data.image_size,
        temperature=decision.temperature,
        threshold=decision.threshold,
        unsure_low=decision.unsure_low,
        unsure_high=decision.unsure_high,
        neither_limit=decision.neither_limit,
        config=config,
        origin=origin,
        metrics=metrics,
        known_failures=tuple(known_failures),
        golden=tuple(GoldenPicture(file=name, probability=float(p)) for name, p in zip(pictures, y_prob, strict=True)),
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    # The page is made from the card, and the card then gets the sha256 of the page.
    page = model_card(card).encode()
    card = card.model_copy(update={"files": {**card.files, MODEL_CARD_FILE: hashlib.sha256(page).hexdigest()}})
    files |= {MODEL_CARD_FILE: page}
    files[CARD_FILE] = (card.model_dump_json(indent=2) + "\n").encode()
    atomic.write_folder(folder, files)
    return card


def unpack_weights(data: bytes) -> list[np.ndarray]:
    """The weights of a bundle as float32, in the network's order.

    Raises:
        ModelError: if these are not the bytes of a weights file.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return [file[name].astype(np.float32) for name in sorted(file.files)]
    except Exception as error:  # NumPy and zipfile raise a dozen types on malformed files
        raise ModelError(f"{WEIGHTS_FILE} is damaged: {error}") from None


def _pack_weights(weights: Sequence[np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    # Numbered names keep the order of the weights when they are sorted.
    arrays = {f"{index:04d}": weight.astype(np.float16) for index, weight in enumerate(weights)}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _golden_files() -> dict[str, bytes]:
    files = {}
    for number, picture in enumerate(golden_pictures(_GOLDEN_SIZE), start=1):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        files[f"{GOLDEN_FOLDER}/{number}.png"] = buffer.getvalue()
    return files
