"""Bundles on disk: found by run folder, bundle folder or name, and verified file by file before use."""

import hashlib
import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from dogvscat.bundle.answer_rules import AnswerRules
from dogvscat.bundle.checksums import CHECKSUMS_FILE, MOST_CHECKSUM_BYTES, Checksums, parse_checksums
from dogvscat.bundle.signature import require_signature
from dogvscat.errors import ModelError
from dogvscat.text import shell_word

if TYPE_CHECKING:
    from dogvscat.bundle.card import Card

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
FIRST_FILE = "first.onnx"
WEIGHTS_FILE = "weights.npz"
GOLDEN_FOLDER = "golden"

BUNDLED_MODELS = Path(__file__).parent.parent / "models"
"""The bundles that come with the package; their folder names can be used as MODEL."""
DEFAULT_BUNDLE = BUNDLED_MODELS / "best"
"""The bundle that `predict` uses when none is named."""

RUN_BUNDLE = "bundle"
"""Name of the bundle's folder inside a run folder."""

PREPROCESSING_FILE = "preprocessing.json"
"""The file that an export has instead of a card."""

_MOST_CARD_BYTES = 4 * 1024 * 1024  # a card has some ten thousand bytes
_MOST_BYTES = 512 * 1024 * 1024  # of one file; the networks here have some ten million
_DIGITS = 12  # of the digest, in names
_COPY_AGAIN = "Copy the whole bundle again, or train the network again."


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are those that it was made with."""

    folder: Path
    checksums: Checksums
    """sha256 of every file."""
    card_data: bytes
    """`card.json`."""
    model: bytes
    """The ONNX graph."""
    first: bytes | None
    """The ONNX graph of the first network, if there is one."""

    @cached_property
    def card(self) -> "Card":
        """The whole card, checked.

        Raises:
            ModelError: if the card says something impossible.
        """
        from dogvscat.bundle.card import parse_card  # here: it imports pydantic, and answers need only the rules

        return parse_card(self.card_data, str(self.folder / CARD_FILE))

    @cached_property
    def rules(self) -> AnswerRules:
        """What the card says about answers. Not checked: only for bundles that passed `check_bundle`, now or before."""
        return AnswerRules.read(json.loads(self.card_data))

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that differ if any byte of the bundle differs."""
        return self.checksums.digest

    @property
    def name(self) -> str:
        """Names the bundle in answers and results, such as `best@3f9c2ab81d04`."""
        return bundle_name(self.folder, self.checksums)

    def read(self, name: str) -> bytes:
        """The bytes of one file, verified.

        Raises:
            ModelError: if the bundle has no such file, or it was changed after the bundle was loaded.
        """
        if name not in self.checksums.by_name:
            raise ModelError(f"{self.folder} has no {name}", hint="Train the network again.")
        return _read_verified(self.folder, name, self.checksums)


def bundle_label(folder: Path) -> str:
    """What people call a bundle: the name of its folder, or of its run."""
    resolved = folder.resolve()
    return resolved.parent.name if resolved.name == RUN_BUNDLE else resolved.name


def bundle_name(folder: Path, checksums: Checksums) -> str:
    """Label and version of a bundle, such as `best@3f9c2ab81d04`."""
    return f"{bundle_label(folder)}@{bundle_version(checksums.digest)}"


def bundle_version(digest: str) -> str:
    """The first digits of a digest, enough to tell bundles apart."""
    return digest[:_DIGITS]


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


def load_bundle(model: Path | None = None, public_key: Path | None = None) -> Bundle:
    """Find a bundle, and check the sha256 of every file before any of them is parsed, then its card and its graph.

    Args:
        model: As for `find_bundle`.
        public_key: A PEM file; the bundle must be signed with the matching private key. None: no signature is needed.

    Raises:
        UsageError: if the key cannot be used.
        ModelError: as from `read_bundle` and `check_bundle`.
    """
    bundle = read_bundle(model, public_key)
    check_bundle(bundle)
    return bundle


def read_bundle(model: Path | None = None, public_key: Path | None = None) -> Bundle:
    """Find a bundle and check the sha256 of every file. Nothing is parsed: call `check_bundle` before it is used.

    Args:
        model: As for `find_bundle`.
        public_key: As for `load_bundle`.

    Raises:
        UsageError: if the key cannot be used.
        ModelError: if there is no bundle, or a file is missing or is not the one that the bundle was made with.
    """
    folder = find_bundle(model)
    checksums = load_checksums(folder)
    if public_key is not None:
        require_signature(folder, checksums, public_key)
    card = _read_verified(folder, CARD_FILE, checksums, _MOST_CARD_BYTES)
    others = [name for name in checksums.by_name if name not in (CARD_FILE, MODEL_FILE, FIRST_FILE)]
    with ThreadPoolExecutor(2) as pool:  # the graph is large
        graph = pool.submit(_read_verified, folder, MODEL_FILE, checksums)
        first = _read_verified(folder, FIRST_FILE, checksums) if FIRST_FILE in checksums.by_name else None
        verified = [pool.submit(_verify, folder, name, checksums) for name in others]
    for future in verified:
        future.result()
    return Bundle(folder, checksums, card, graph.result(), first)


def check_bundle(bundle: Bundle) -> None:
    """Check the card of a bundle, and that its graphs fit the card.

    Raises:
        ModelError: if the card says something impossible, or a graph could need much more memory than the network in
            the card.
    """
    from dogvscat.bundle.graph_memory import check_graph  # here: it needs the whole card

    card = bundle.card
    if bundle.rules != card.rules:  # pydantic also takes numbers in quotes
        raise ModelError(f"{bundle.folder / CARD_FILE} is not a valid card: it has numbers as text")
    for picture in card.golden:
        _expected(bundle.folder, picture.file, bundle.checksums)
    check_graph(bundle.model, card, str(bundle.folder))
    if (bundle.first is None) != (card.first_network is None):
        has, describes = ("no" if part is None else "a" for part in (bundle.first, card.first_network))
        message = f"{bundle.folder} has {has} {FIRST_FILE}, and its card describes {describes} first network"
        raise ModelError(message, hint=_COPY_AGAIN)
    if bundle.first is not None:
        check_graph(bundle.first, card, str(bundle.folder / FIRST_FILE), is_quantized=True)


def load_card(model: Path | None = None) -> "Card":
    """The verified card of a bundle; its other files are not looked at.

    Raises:
        ModelError: as from `load_bundle`.
    """
    from dogvscat.bundle.card import parse_card

    folder = find_bundle(model)
    data = _read_verified(folder, CARD_FILE, load_checksums(folder), _MOST_CARD_BYTES)
    return parse_card(data, str(folder / CARD_FILE))


def load_checksums(folder: Path) -> Checksums:
    """The checksums of a bundle folder, which are not compared with its files yet.

    Raises:
        ModelError: if they are missing or damaged.
    """
    path = folder / CHECKSUMS_FILE
    if not path.exists():
        raise ModelError(
            f"{folder} has no {CHECKSUMS_FILE}, the list of its files",
            hint="If an earlier version of dogvscat made this bundle, use it with that version, or train again. "
            "For a run folder, `dogvscat train --resume RUN` writes the bundle again.",
        )
    return parse_checksums(_read(path, MOST_CHECKSUM_BYTES), str(path))


def _read_verified(folder: Path, name: str, checksums: Checksums, most_bytes: int = _MOST_BYTES) -> bytes:
    expected = _expected(folder, name, checksums)
    data = _read(folder / name, most_bytes)
    _compare(folder / name, expected, hashlib.sha256(data).hexdigest())
    return data


def _verify(folder: Path, name: str, checksums: Checksums) -> None:
    """Check a file that is not needed yet, without holding all of it in memory."""
    with _open(folder / name, _MOST_BYTES) as file:
        _compare(folder / name, _expected(folder, name, checksums), hashlib.file_digest(file, "sha256").hexdigest())


def _expected(folder: Path, name: str, checksums: Checksums) -> str:
    if name not in checksums.by_name:
        raise ModelError(f"{folder / CHECKSUMS_FILE} does not list {name}", hint=_COPY_AGAIN)
    return checksums.by_name[name]


def _compare(path: Path, expected: str, received: str) -> None:
    if received != expected:
        raise ModelError(
            f"{path} is not the file this bundle was made with: expected sha256 {expected[:16]}..., "
            f"received {received[:16]}...",
            hint=_COPY_AGAIN,
        )


def _read(path: Path, most_bytes: int) -> bytes:
    with _open(path, most_bytes) as file:
        return file.read()


@contextmanager
def _open(path: Path, most_bytes: int) -> Iterator[BufferedReader]:
    try:
        status = path.stat()
        if status.st_size > most_bytes:
            raise ModelError(f"{path} is larger than {most_bytes:,} bytes; no file of a bundle is that large")
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):  # opening a pipe would wait forever
            raise ModelError(f"{path} cannot be read: it is not a file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from None
