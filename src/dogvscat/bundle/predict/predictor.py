"""From photos to answers, with NumPy, Pillow and ONNX Runtime alone."""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from PIL import Image

from dogvscat import atomic, caches
from dogvscat.bundle.card import Card
from dogvscat.bundle.folder import Bundle, load_bundle
from dogvscat.bundle.graph import Session, open_graph, run_activation, run_graph
from dogvscat.errors import DogvscatError, ImageError, ModelError
from dogvscat.judging.decision import Logits, sigmoid
from dogvscat.labels import NEITHER, UNSURE
from dogvscat.photos.decoder import decode, decode_array, decode_image, decode_photo

BATCH_SIZE = 4
"""Photos at once: more are no faster, and take more memory."""
GOLDEN_TOLERANCE = 1e-3
"""How far the probability of a golden picture may lie from the card's: other processors round differently."""

Photo: TypeAlias = os.PathLike[str] | str | bytes | Image.Image | np.ndarray
"""A path, the contents of a file, a Pillow image, or pixels uint8 (height, width, 3), RGB."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo."""

    path: str
    """As given, or `picture 3` for the fourth of some photos that have no path."""
    label: str
    """A class name, or `unsure`."""
    probabilities: dict[str, float]
    """By class name; they add up to 1."""
    neither: float | None = None
    """How probable it is that the photo shows neither class, or None where the network does not tell. Not calibrated:
    it depends on how common such photos are."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        neither = {} if self.neither is None else {NEITHER: self.neither}
        return {"path": self.path, "label": self.label, "probabilities": self.probabilities, **neither}


@dataclass(frozen=True)
class Failure:
    """Why one photo has no answer."""

    path: str
    code: str
    """Code of the ImageError, such as `unreadable`."""
    message: str
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"path": self.path, "error": {"code": self.code, "message": self.message}}


class Predictor:
    """A loaded bundle, ready to answer. Load it with `Predictor.load`.

    Args:
        bundle: A verified bundle.
        threads: CPU threads, 0 for all.

    Raises:
        ModelError: if the graph cannot be run, or is not one of ours.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.threads = threads or os.cpu_count() or 1
        self._session = open_graph(bundle.model, str(bundle.folder), self.threads)
        self.bundle = bundle
        self.card: Card = bundle.card

    @cached_property
    def _narrow_session(self) -> Session:
        """The same graph on one thread: many photos are answered sooner by a graph a thread than by all together."""
        return self._session if self.threads == 1 else open_graph(self.bundle.model, str(self.bundle.folder), 1)

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
        verified = caches.area("verified") / predictor.bundle.digest
        if not os.path.exists(verified):  # noqa: PTH110 - unlike Path.exists, never raises
            predictor.check_golden()
            with suppress(DogvscatError):  # a cache that cannot be written only means checking again
                atomic.write_text(verified, f"{predictor.bundle.folder}\n")
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

    def activation(self, pixels: np.ndarray) -> np.ndarray | None:
        """The log-odds of the positive class that each place speaks for; their mean over the places is the logit.

        Args:
            pixels: As for `logits`.

        Returns:
            float64 (num_images, height, width), with fewer places than pixels; None if the network cannot tell.
        """
        return run_activation(self._session, pixels)

    def predict(self, photos: Iterable[Photo]) -> list[Prediction | Failure]:
        """The answers for some photos, in order; a photo that cannot be used has a `Failure` in its place.

        Raises:
            TypeError: if it is given one photo instead of several.
        """
        return list(self.stream(photos))

    def stream(self, photos: Iterable[Photo]) -> Iterator[Prediction | Failure]:
        """As `predict`, one answer at a time and in bounded memory.

        Photos are taken ahead of the answers, a few batches for each thread.
        """
        if isinstance(photos, str | bytes | os.PathLike | Image.Image):
            raise TypeError(f"expected several photos, received one {type(photos).__name__}: give a list, [photo]")
        numbered = enumerate(photos)
        batches = iter(lambda: list(itertools.islice(numbered, BATCH_SIZE)), [])
        pool = ThreadPoolExecutor(self.threads)
        try:
            first = next(batches, [])
            if len(first) < BATCH_SIZE:  # all there is: every thread helps with each step
                yield from self._answered(self._session, list(pool.map(self._decoded, first)))
                return
            waiting: deque[Future[list[Prediction | Failure]]] = deque()
            for batch in itertools.chain([first], batches):  # each thread takes a batch from file to answer
                waiting.append(pool.submit(self._answer_batch, batch))
                if len(waiting) > 2 * self.threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def answer(self, pixels: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        """The answers for decoded pictures, in order.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.
            names: What to call each picture.

        Raises:
            ModelError: if the graph does not answer as it should.
        """
        return self._answer(self._session, pixels, names)

    def _answer(self, session: Session, pixels: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        if not len(pixels):
            return []
        decision, (negative, positive) = self.card.decision(), self.card.class_names
        logits = run_graph(session, pixels)
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

    def _answer_batch(self, batch: Sequence[tuple[int, Photo]]) -> list[Prediction | Failure]:
        return self._answered(self._narrow_session, [self._decoded(photo) for photo in batch])

    def _answered(
        self, session: Session, decoded: Sequence[tuple[str, np.ndarray | ImageError]]
    ) -> list[Prediction | Failure]:
        good = [(name, picture) for name, picture in decoded if isinstance(picture, np.ndarray)]
        pixels = np.array([picture for _, picture in good])  # (num_good, image_size, image_size, 3)
        answers = iter(self._answer(session, pixels, [name for name, _ in good]))
        return [
            Failure(name, picture.code, picture.reason, picture.hint)
            if isinstance(picture, ImageError)
            else next(answers)
            for name, picture in decoded
        ]

    def _decoded(self, numbered: tuple[int, Photo]) -> tuple[str, np.ndarray | ImageError]:
        number, photo = numbered
        name = str(photo) if isinstance(photo, str | os.PathLike) else f"picture {number}"
        try:
            return name, _pixels(photo, name, self.card.image_size)
        except ImageError as error:
            return name, error


def _pixels(photo: Photo, name: str, image_size: int) -> np.ndarray:
    match photo:
        case bytes():
            return decode(photo, name, image_size)
        case str() | os.PathLike():
            return decode_photo(Path(photo), image_size)
        case Image.Image():
            return decode_image(photo, name, image_size)
        case np.ndarray():
            return decode_array(photo, name, image_size)
    received = f"is of type {type(photo).__name__}, expected a path, bytes, a Pillow image or an array of pixels"
    raise ImageError(name, "unsupported_format", received)
