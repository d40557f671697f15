"""Bundles on disk: found by a run folder, a bundle folder or nothing at all, and verified file by file before use."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dogvscat.bundle.card import CARD_FILE, MODEL_FILE, Card, parse_card
from dogvscat.errors import ModelError

MODELS = Path(__file__).parent.parent / "models"
"""The bundles that ship, known by name as well."""
SHIPPED = MODELS / "best"
"""The bundle that `predict` uses when none is named."""

RUN_BUNDLE = "bundle"
"""Name of the bundle's folder inside a run folder."""

PREPROCESSING_FILE = "preprocessing.json"
"""What an export has instead of a card."""

_MOST_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    folder: Path
    card: Card
    digest: str
    """sha256 of the card, which names the sha256 of every other file."""
    model: bytes
    """The ONNX graph, as verified."""


def find_bundle(model: Path | None = None) -> Path:
    """The bundle folder that MODEL means: a run folder, a bundle folder, the name of a shipped one, or none for that
    which `predict` uses.

    Raises:
        ModelError: if there is no bundle there.
    """
    folder = model if model is not None else SHIPPED
    try:
        for candidate in (folder / RUN_BUNDLE, folder, MODELS / folder.name if len(folder.parts) == 1 else folder):
            if (candidate / CARD_FILE).is_file():
                return candidate
        what = "holds no bundle" if folder.exists() else "does not exist"
        unfinished = (folder / "config.toml").is_file()
        exported = (folder / PREPROCESSING_FILE).is_file()
    except OSError as error:
        raise ModelError(f"{folder} cannot be opened: {error.strerror}") from None
    if model is None:
        raise ModelError("this installation ships no bundle", hint="Train one: dogvscat train PHOTOS")
    hint = "Give a run folder with a finished training, a bundle folder with card.json and model.onnx, or `best`."
    if exported:
        hint = "It is an export, made for other programs; give the run folder or bundle that it was made from."
    if unfinished:
        hint = f"This training is not finished; go on with: dogvscat train --resume {folder}"
    raise ModelError(f"{folder} {what}", hint=hint)


def load_bundle(model: Path | None = None) -> Bundle:
    """Find a bundle, and check its card and the sha256 of its files before any of them is parsed.

    Raises:
        ModelError: naming the file that is missing or not what the card says.
    """
    folder = find_bundle(model)
    card, digest = parse_card(folder)
    with ThreadPoolExecutor(2) as pool:  # the graph and the weights are large
        contents = dict(
            zip(card.files, pool.map(lambda name: read_verified(folder, card, name), card.files), strict=True)
        )
    return Bundle(folder, card, digest, contents[MODEL_FILE])


def read_verified(folder: Path, card: Card, name: str) -> bytes:
    """One file of a bundle.

    Raises:
        ModelError: if it is missing or not what the card says.
    """
    expected = card.files.get(name)
    if expected is None:
        raise ModelError(f"the card of {folder} names no {name}", hint="Train it again.")
    data = _read(folder, name)
    received = hashlib.sha256(data).hexdigest()
    if received != expected:
        raise ModelError(
            f"{folder / name} is not the file this bundle was made with: expected sha256 {expected[:16]}..., "
            f"received {received[:16]}...",
            hint="Copy the whole bundle again, or train it again.",
        )
    return data


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ModelError(f"the card of {folder} names a file outside of the bundle: {name!r}")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{path} is larger than {_MOST_BYTES:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
