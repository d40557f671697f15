"""Bundles on disk: found by run folder, bundle folder or name, and verified file by file before use."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dogvscat.bundle.card import CARD_FILE, MODEL_FILE, Card, parse_card
from dogvscat.errors import ModelError
from dogvscat.text import shell_word

BUNDLED_MODELS = Path(__file__).parent.parent / "models"
"""The bundles that come with the package; their folder names can be used as MODEL."""
DEFAULT_BUNDLE = BUNDLED_MODELS / "best"
"""The bundle that `predict` uses when none is named."""

RUN_BUNDLE = "bundle"
"""Name of the bundle's folder inside a run folder."""

PREPROCESSING_FILE = "preprocessing.json"
"""The file that an export has instead of a card."""

_MOST_BYTES = 512 * 1024 * 1024  # of one file; the networks here have some ten million


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    folder: Path
    card: Card
    digest: str
    """sha256 of the card, which names the sha256 of every other file."""
    model: bytes
    """The verified ONNX graph."""


def find_bundle(model: Path | None = None) -> Path:
    """The bundle folder for a MODEL argument.

    Args:
        model: A run folder, a bundle folder, or the name of a bundled model; None for the default one.

    Raises:
        ModelError: if there is no bundle there.
    """
    folder = model if model is not None else DEFAULT_BUNDLE
    try:
        # A path without a slash may also be the name of a bundled model; a folder of that name comes first.
        named = BUNDLED_MODELS / folder.name if len(folder.parts) == 1 else folder
        for candidate in (folder / RUN_BUNDLE, folder, named):
            if (candidate / CARD_FILE).is_file():
                return candidate
        problem = "holds no bundle" if folder.exists() else "does not exist"
        is_unfinished = (folder / "config.toml").is_file()
        is_export = (folder / PREPROCESSING_FILE).is_file()
    except OSError as error:
        raise ModelError(f"{folder} cannot be opened: {error.strerror}") from None
    if model is None:
        raise ModelError("this installation contains no bundled model", hint="Train one: dogvscat train PHOTOS")
    hint = "Give the run folder of a finished training, a bundle folder with card.json and model.onnx, or `best`."
    if is_export:
        hint = "It is an export, made for other programs; give the run folder or bundle that it was made from."
    if is_unfinished:
        hint = f"This training is not finished; resume it with: dogvscat train --resume {shell_word(folder)}"
    raise ModelError(f"{folder} {problem}", hint=hint)


def load_bundle(model: Path | None = None) -> Bundle:
    """Find a bundle, and check its card and the sha256 of its files before any of them is parsed.

    Raises:
        ModelError: if there is no bundle, or a file is missing or does not have the sha256 in the card.
    """
    folder = find_bundle(model)
    card, digest = parse_card(folder)
    with ThreadPoolExecutor(2) as pool:  # the graph and the weights are large
        verified = pool.map(lambda name: read_verified(folder, card, name), card.files)
        contents = dict(zip(card.files, verified, strict=True))
    return Bundle(folder, card, digest, contents[MODEL_FILE])


def read_verified(folder: Path, card: Card, name: str) -> bytes:
    """The bytes of one file of a bundle.

    Raises:
        ModelError: if it is missing or does not have the sha256 in the card.
    """
    expected = card.files.get(name)
    if expected is None:
        raise ModelError(f"the card of {folder} does not list {name}", hint="Train the network again.")
    data = _read(folder, name)
    received = hashlib.sha256(data).hexdigest()
    if received != expected:
        raise ModelError(
            f"{folder / name} is not the file this bundle was made with: expected sha256 {expected[:16]}..., "
            f"received {received[:16]}...",
            hint="Copy the whole bundle again, or train the network again.",
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
