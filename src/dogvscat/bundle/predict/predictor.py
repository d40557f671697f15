"""From photos to predictions, with only NumPy, Pillow and ONNX Runtime."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from PIL import Image

from dogvscat.bundle.answer_rules import AnswerRules
from dogvscat.bundle.folder import Bundle, check_bundle, read_bundle
from dogvscat.bundle.graph import Session, open_graph, run_class_activation, run_graph
from dogvscat.bundle.predict.verified import is_verified, remember_verified
from dogvscat.cpus import available_cpus
from dogvscat.errors import ImageError, ModelError
from dogvscat.judging.decision import Logits, sigmoid
from dogvscat.labels import NEITHER, UNSURE
from dogvscat.photos.decoding.decoder import decode, decode_array, decode_image, read_photo

if TYPE_CHECKING:
    from dogvscat.bundle.card import Card, GoldenPicture

BATCH_SIZE = 4
"""Images per run of the graph: larger batches are no faster, and take more memory."""
GOLDEN_TOLERANCE = 1e-3
"""How far the probability of a golden picture may lie from the card's: other processors round differently."""

PhotoInput: TypeAlias = os.PathLike[str] | str | bytes | Image.Image | np.ndarray
"""A path, the contents of a file, a Pillow image, or pixels uint8 (height, width, 3), RGB."""

Decode: TypeAlias = Callable[[bytes, str, int], np.ndarray]
"""From the bytes of a file, a name for errors, and `image_size` to uint8 (image_size, image_size, 3)."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one photo."""

    path: str
    """As given; for a photo without a path, `picture` and its number from 0, such as `picture 3`."""
    label: str
    """A class name, or `unsure`."""
    probabilities: dict[str, float]
    """By class name; they add up to 1."""
    neither: float | None = None
    """Probability that the photo shows neither class, or None where the network has no such output. It is not
    calibrated: it depends on how common such photos are."""
    reason: str | None = None
    """Why the label is `unsure`: `close`, the probability is too near one half; `neither`, the photo seems to show
    neither class; `at_chance`, the network is no better than guessing. None where the label is a class."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        neither = {} if self.neither is None else {NEITHER: self.neither}
        return {
            "path": self.path,
            "label": self.label,
            "reason": self.reason,
            "probabilities": self.probabilities,
            **neither,
        }


@dataclass(frozen=True)
class Failure:
    """Why one photo has no prediction."""

    path: str
    code: str
    """Code of the ImageError, such as `unreadable`."""
    message: str
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        hint = {} if self.hint is None else {"hint": self.hint}
        return {"path": self.path, "error": {"code": self.code, "message": self.message, **hint}}


class Predictor:
    """A loaded bundle, ready to predict. Load it with `Predictor.load`.

    >>> import numpy as np
    >>> from dogvscat import Predictor
    >>> predictor = Predictor.load()  # the bundled model
    >>> photo = np.zeros((120, 160, 3), dtype=np.uint8)  # or a path, the bytes of a file, a Pillow image
    >>> (prediction,) = predictor.predict([photo])
    >>> sorted(prediction.probabilities)
    ['cat', 'dog']
    >>> print(predictor.predict(["missing.jpg"])[0].code)
    not_found

    It also works in processes forked after it was loaded; each opens the graph again.

    Args:
        bundle: A verified bundle.
        threads: CPU threads, 0 for as many as there are CPUs that this process may use.

    Raises:
        ModelError: if the graph cannot be run, or does not have the inputs and outputs of a dogvscat graph.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.threads = threads or available_cpus()
        self.bundle = bundle
        self.rules = bundle.rules
        self._sessions: dict[tuple[int, int], Session] = {}
        self._session(self.threads)  # a graph that cannot be run is refused here

    def _session(self, threads: int) -> Session:
        """The graph on that many threads, opened at its first use in this process: a forked child has the sessions of
        its parent without their threads, and would wait for them."""
        key = (os.getpid(), threads)
        if key not in self._sessions:
            self._sessions[key] = open_graph(self.bundle.model, str(self.bundle.folder), threads)
        return self._sessions[key]

    @property
    def card(self) -> "Card":
        """The whole card of the bundle."""
        return self.bundle.card

    @classmethod
    def load(cls, model: Path | str | None = None, threads: int = 0, public_key: Path | str | None = None) -> Self:
        """Load a bundle and check the sha256 of every file. Before its first use, its card and graph are checked too,
        and its golden pictures must get the answers in the card.

        Args:
            model: A run folder or a bundle folder, or None for the bundled model.
            threads: CPU threads, 0 for as many as there are CPUs that this process may use.
            public_key: A PEM file; the bundle must be signed with its private key. None: no signature is needed.

        Raises:
            ModelError: if there is no bundle, or it is damaged or not signed.
            UsageError: if the key cannot be used.
        """
        folder, key = (None if path is None else Path(path) for path in (model, public_key))
        bundle = read_bundle(folder, key)
        if is_verified(bundle):
            return cls(bundle, threads)
        check_bundle(bundle)
        predictor = cls(bundle, threads)
        predictor.check_golden()
        remember_verified(bundle)
        return predictor

    def check_golden(self) -> None:
        """Predict the golden pictures and compare the answers with the card: class names, probabilities, labels.

        Raises:
            ModelError: naming the picture whose answer differs.
        """
        for golden in self.card.golden:
            file = self.bundle.folder / golden.file
            try:
                pixels = decode(self.bundle.read(golden.file), str(file), self.rules.image_size)
            except ImageError as error:
                raise ModelError(f"the golden picture {error.message}") from None
            (received,) = self.predict_pixels(pixels[None], [golden.file])
            if not _agrees(received, golden, self.rules):
                raise ModelError(
                    f"{file} should have the answer {_answer_in_words(golden)}, this installation computes "
                    f"{_answer_in_words(received)}",
                    hint="The pixels or the arithmetic differ; compare the versions of Pillow and onnxruntime.",
                )

    def logits(self, pixels: np.ndarray) -> Logits:
        """Calibrated log-odds of the positive class, and of showing neither where the network has that output.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.

        Raises:
            ModelError: if the graph fails, or its outputs are not finite numbers of the expected shape.
        """
        return run_graph(self._session(self.threads), pixels)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 (num_images,); `pixels` as for `logits`."""
        return self.rules.decision().probabilities(self.logits(pixels).positive)

    def class_activation(self, pixels: np.ndarray) -> np.ndarray | None:
        """The class activation map: the log-odds each position adds for the positive class. Their mean is the logit.

        Args:
            pixels: As for `logits`.

        Returns:
            float64 (num_images, height, width), coarser than the pixels; None if the network has no such output.

        Raises:
            ModelError: as for `logits`.
        """
        return run_class_activation(self._session(self.threads), pixels)

    def predict(self, photos: Iterable[PhotoInput]) -> list[Prediction | Failure]:
        """The predictions for some photos, in order; a photo that cannot be used has a `Failure` in its place.

        Raises:
            TypeError: if it is given one photo instead of several.
            ModelError: as for `logits`.
        """
        return list(self.stream(photos))

    def stream(self, photos: Iterable[PhotoInput], decode: Decode = decode) -> Iterator[Prediction | Failure]:
        """Like `predict`, but one prediction at a time and in bounded memory.

        Photos are read ahead of the predictions, a few batches for each thread.

        Args:
            photos: As for `predict`.
            decode: Decodes files, from their bytes, a name for errors and `image_size`, as `decoder.decode` does.

        Raises:
            TypeError: if it is given one photo instead of several.
            ModelError: as for `logits`.
        """
        if isinstance(photos, str | bytes | os.PathLike | Image.Image):
            raise TypeError(f"expected several photos, received one {type(photos).__name__}: give a list, [photo]")
        numbered = enumerate(photos)
        batches = iter(lambda: list(itertools.islice(numbered, BATCH_SIZE)), [])  # until a batch is empty
        pool = ThreadPoolExecutor(self.threads)
        try:
            first = next(batches, [])
            if len(first) < BATCH_SIZE:  # a few photos in all: every thread helps with each step
                yield from self._predict_decoded(
                    self._session(self.threads), [*pool.map(partial(self._decode, decode), first)]
                )
                return
            pending: deque[Future[list[Prediction | Failure]]] = deque()
            # Many photos: each thread takes whole batches, and a run of the graph stays on it.
            session = self._session(1)
            for batch in itertools.chain([first], batches):
                pending.append(pool.submit(self._predict_batch, session, decode, batch))
                if len(pending) > 2 * self.threads:  # this bounds the memory
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def predict_pixels(self, pixels: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        """The predictions for decoded images, in order.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.
            names: The `path` of each prediction.

        Raises:
            ModelError: if the graph fails, or its outputs are not finite numbers of the expected shape.
        """
        return self._predict_pixels(self._session(self.threads), pixels, names)

    def _predict_pixels(self, session: Session, pixels: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        if not len(pixels):
            return []
        decision, (negative, positive) = self.rules.decision(), self.rules.class_names
        logits = run_graph(session, pixels)
        y_prob = decision.probabilities(logits.positive)
        y_pred, reasons = decision.predict(y_prob), decision.unsure_reasons(y_prob, logits.neither).tolist()
        neither_probs = [None] * len(pixels) if logits.neither is None else sigmoid(logits.neither).tolist()
        columns = zip(names, y_pred, reasons, y_prob.tolist(), neither_probs, strict=True)
        return [
            Prediction(
                name,
                UNSURE if reason else self.rules.class_names[label],
                {negative: 1.0 - probability, positive: probability},
                neither,
                reason or None,
            )
            for name, label, reason, probability, neither in columns
        ]

    def _predict_batch(
        self, session: Session, decode: Decode, batch: Sequence[tuple[int, PhotoInput]]
    ) -> list[Prediction | Failure]:
        """Decode a batch of numbered photos and predict them, all on the calling thread."""
        return self._predict_decoded(session, [self._decode(decode, photo) for photo in batch])

    def _predict_decoded(
        self, session: Session, decoded: Sequence[tuple[str, np.ndarray | ImageError]]
    ) -> list[Prediction | Failure]:
        """Predict the images among some results of `_decode`; the errors become failures, in place."""
        images = [(name, image) for name, image in decoded if isinstance(image, np.ndarray)]
        pixels = np.array([image for _, image in images])  # (num_decodable, image_size, image_size, 3)
        predictions = iter(self._predict_pixels(session, pixels, [name for name, _ in images]))
        return [
            Failure(name, image.code, image.reason, image.hint) if isinstance(image, ImageError) else next(predictions)
            for name, image in decoded
        ]

    def _decode(self, decode: Decode, numbered_photo: tuple[int, PhotoInput]) -> tuple[str, np.ndarray | ImageError]:
        """The name of a photo and its pixels, uint8 (image_size, image_size, 3), or why it cannot be decoded."""
        number, photo = numbered_photo
        name = str(photo) if isinstance(photo, str | os.PathLike) else f"picture {number}"
        try:
            return name, _decode_any(photo, name, self.rules.image_size, decode)
        except ImageError as error:
            return name, error


def _agrees(received: Prediction, golden: "GoldenPicture", rules: AnswerRules) -> bool:
    """Whether an answer is the recorded one. A label may differ where the recorded numbers lie so close to a limit that
    rounding decides."""
    numbers, recorded = (
        {**answer.probabilities, **({} if answer.neither is None else {NEITHER: answer.neither})}
        for answer in (received, golden)
    )
    if list(numbers) != list(recorded):
        return False
    if any(abs(numbers[name] - recorded[name]) > GOLDEN_TOLERANCE for name in recorded):
        return False
    # From the computed numbers by the rules of the card; `golden` follows the same rules, or the card is refused.
    answer = rules.answer(received.probabilities[rules.class_names[1]], received.neither)
    return (received.label, received.reason) == answer


def _answer_in_words(answer: "Prediction | GoldenPicture") -> str:
    numbers = {**answer.probabilities, **({} if answer.neither is None else {NEITHER: answer.neither})}
    return f"{answer.label} ({', '.join(f'{name} {number:.4f}' for name, number in numbers.items())})"


def _decode_any(photo: PhotoInput, name: str, image_size: int, decode: Decode) -> np.ndarray:
    match photo:
        case bytes():
            return decode(photo, name, image_size)
        case str() | os.PathLike():
            return decode(read_photo(Path(photo)), name, image_size)
        case Image.Image():
            return decode_image(photo, name, image_size)
        case np.ndarray():
            return decode_array(photo, name, image_size)
    received = f"is of type {type(photo).__name__}, expected a path, bytes, a Pillow image or an array of pixels"
    raise ImageError(name, "unsupported_format", received)
