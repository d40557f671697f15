"""From photos to answers, with NumPy, Pillow and ONNX Runtime alone."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime

from dogvscat import home, writing
from dogvscat.bundle.card import Card
from dogvscat.bundle.folder import Bundle, load_bundle
from dogvscat.errors import DogvscatError, ImageError, ModelError
from dogvscat.judging.decision import Logits, sigmoid
from dogvscat.labels import UNSURE
from dogvscat.photos.decoder import decode, decode_photo

BATCH_SIZE = 32
GOLDEN_TOLERANCE = 1e-3
"""How far the probability of a golden picture may lie from the card's: other processors round differently."""

_BATCHES_AHEAD = 4


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo."""

    path: str
    label: str
    """A class name, or `unsure`."""
    probabilities: dict[str, float]
    """By class name; they add up to 1."""
    neither: float | None = None
    """How probable it is that the photo shows neither class, or None where the network does not tell. Not calibrated:
    it depends on how common such photos are."""


@dataclass(frozen=True)
class Failure:
    """Why one photo has no answer."""

    path: str
    code: str
    """Code of the ImageError, such as `unreadable`."""
    message: str
    hint: str | None = None


def open_graph(graph: bytes, where: str, threads: int = 0) -> onnxruntime.InferenceSession:
    """Make an ONNX graph ready to run on CPU threads, 0 for all.

    Raises:
        ModelError: if the graph cannot be run, or does not take pixels and give a logit; names `where` it came from.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.log_severity_level = 4  # errors are raised, no need to print them as well
    # Weights outside of the graph are in no card, so nobody has verified them: send ONNX Runtime where no file can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", f"{os.devnull}/none")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen kinds of its own, none of them public
        raise ModelError(f"the graph in {where} cannot be run: {error}") from None
    inputs = {value.name: value.type for value in session.get_inputs()}
    outputs = {value.name for value in session.get_outputs()}
    if inputs != {"pixels": "tensor(uint8)"} or "logit" not in outputs or not outputs <= {"logit", "neither"}:
        raise ModelError(
            f"the graph in {where} should take `pixels` as uint8 and give `logit`, "
            f"it takes {inputs} and gives {sorted(outputs)}"
        )
    return session


def run_graph(session: onnxruntime.InferenceSession, pixels: np.ndarray) -> Logits:
    """What a graph says about pixels uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if the graph does not give one finite number a picture and output.
    """
    names = sorted(value.name for value in session.get_outputs())  # logit, neither
    try:
        outputs = [np.asarray(output, dtype=np.float64) for output in session.run(names, {"pixels": pixels})]
    except Exception as error:  # as in open_graph
        raise ModelError(f"the graph cannot be run on pictures of shape {pixels.shape[1:]}: {error}") from None
    for name, logits in zip(names, outputs, strict=True):
        if logits.shape != (len(pixels), 1) or not np.isfinite(logits).all():
            raise ModelError(
                f"the graph should give finite logits of shape {(len(pixels), 1)}, it gives {logits.shape} "
                f"as `{name}`: {logits[:3]}"
            )
    return Logits(*(logits[:, 0] for logits in outputs))


class Predictor:
    """A loaded bundle, ready to answer. Load it with `Predictor.load`.

    Args:
        bundle: A verified bundle.
        threads: CPU threads, 0 for all.

    Raises:
        ModelError: if the graph cannot be run, or is not one of ours.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self._session = open_graph(bundle.model, str(bundle.folder), threads)
        self.bundle = bundle
        self.card: Card = bundle.card

    @classmethod
    def load(cls, model: Path | str | None = None, threads: int = 0) -> Self:
        """Load and verify a bundle; the first time, its golden pictures must come out as the card says.

        Args:
            model: A run folder or a bundle folder, or None for the shipped bundle.
            threads: CPU threads, 0 for all.

        Raises:
            ModelError: if there is no bundle, or it is damaged.
        """
        predictor = cls(load_bundle(Path(model) if model is not None else None), threads)
        verified = home.area("verified") / predictor.bundle.digest
        if not os.path.exists(verified):  # noqa: PTH110 - unlike Path.exists, never raises
            predictor.check_golden()
            with suppress(DogvscatError):  # a cache that cannot be written only means checking again
                writing.write_text(verified, f"{predictor.bundle.folder}\n")
        return predictor

    def check_golden(self) -> None:
        """Answer the golden pictures and compare with the card.

        Raises:
            ModelError: naming the picture that comes out differently.
        """
        for golden in self.card.golden:
            file = self.bundle.folder / golden.file
            try:
                pixels = decode_photo(file, self.card.image_size)
            except ImageError as error:
                raise ModelError(f"the golden picture {error.message}") from None
            received = float(self.probabilities(pixels[None])[0])
            if abs(received - golden.probability) > GOLDEN_TOLERANCE:
                raise ModelError(
                    f"{file} should come out as {golden.probability:.4f}, this installation says {received:.4f}",
                    hint="The pixels or the arithmetic differ; compare the versions of Pillow and onnxruntime.",
                )

    def logits(self, pixels: np.ndarray) -> Logits:
        """Calibrated log-odds of the positive class, and of showing neither where the network tells.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.
        """
        return run_graph(self._session, pixels)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 (num_images,); `pixels` as for `logits`."""
        return self.card.decision().probabilities(self.logits(pixels).positive)

    def predict(self, photos: Iterable[Path | str | bytes]) -> list[Prediction | Failure]:
        """The answers for some photos, in order; a photo that cannot be used has a `Failure` in its place.

        Args:
            photos: Paths of files, or their contents.
        """
        return list(self.stream(photos))

    def stream(self, photos: Iterable[Path | str | bytes]) -> Iterator[Prediction | Failure]:
        """As `predict`, one answer at a time and in bounded memory."""
        pool = ThreadPoolExecutor(os.cpu_count())
        numbered = enumerate(photos)
        try:
            waiting: list[Any] = []
            while window := list(itertools.islice(numbered, BATCH_SIZE)):
                waiting.append([pool.submit(self._decode, number, photo) for number, photo in window])
                if len(waiting) > _BATCHES_AHEAD:
                    yield from self._answered([future.result() for future in waiting.pop(0)])
            for futures in waiting:
                yield from self._answered([future.result() for future in futures])
        finally:
            pool.shutdown(cancel_futures=True)

    def _decode(self, number: int, photo: Path | str | bytes) -> tuple[str, np.ndarray | ImageError]:
        path = f"picture {number}" if isinstance(photo, bytes) else str(photo)
        try:
            if isinstance(photo, bytes):
                return path, decode(photo, path, self.card.image_size)
            return path, decode_photo(Path(photo), self.card.image_size)
        except ImageError as error:
            return path, error

    def answer(self, pixels: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        """The answers for decoded pictures, in order.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.
            names: What to call each picture.

        Raises:
            ModelError: if the graph does not answer as it should.
        """
        if not len(pixels):
            return []
        decision, (negative, positive) = self.card.decision(), self.card.class_names
        logits = self.logits(pixels)
        y_prob = decision.probabilities(logits.positive)
        unsure = decision.is_unsure(y_prob, logits.neither)
        neither = [None] * len(pixels) if logits.neither is None else sigmoid(logits.neither).tolist()
        columns = zip(names, decision.predict(y_prob), unsure, y_prob.tolist(), neither, strict=True)
        return [
            Prediction(
                name,
                UNSURE if is_unsure else self.card.class_names[y_pred],
                {negative: 1.0 - probability, positive: probability},
                missing,
            )
            for name, y_pred, is_unsure, probability, missing in columns
        ]

    def _answered(self, decoded: Sequence[tuple[str, np.ndarray | ImageError]]) -> Iterator[Prediction | Failure]:
        good = [(name, picture) for name, picture in decoded if isinstance(picture, np.ndarray)]
        size = self.card.image_size
        pixels = np.array([picture for _, picture in good], dtype=np.uint8).reshape(-1, size, size, 3)
        answers = iter(self.answer(pixels, [name for name, _ in good]))
        for name, picture in decoded:
            if isinstance(picture, ImageError):
                yield Failure(name, picture.code, picture.reason, picture.hint)
            else:
                yield next(answers)
