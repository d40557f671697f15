"""From photos to predictions, with only NumPy, Pillow and ONNX Runtime."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from PIL import Image

from dogvscat.bundle.folder import Bundle, check_bundle, read_bundle
from dogvscat.bundle.graph import run_class_activation, run_graph
from dogvscat.bundle.predict.networks import Networks
from dogvscat.bundle.predict.prediction import Failure, Prediction, predictions_of
from dogvscat.bundle.predict.verified import is_verified, remember_verified
from dogvscat.cpus import available_cpus
from dogvscat.errors import ImageError
from dogvscat.judging.decision import Logits
from dogvscat.photos.decoding.decoder import decode, decode_array, decode_image, read_photo

if TYPE_CHECKING:
    from dogvscat.bundle.card import Card

BATCH_SIZE = 4
"""Images per run of the graph: larger batches are no faster, and take more memory."""

PhotoInput: TypeAlias = os.PathLike[str] | str | bytes | Image.Image | np.ndarray
"""A path, the contents of a file, a Pillow image, or pixels uint8 (height, width, 3), RGB."""

Decode: TypeAlias = Callable[[bytes, str, int], np.ndarray]
"""From the bytes of a file, a name for errors, and `image_size` to uint8 (image_size, image_size, 3)."""


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
        exact: Ask only the full network. Otherwise a quick first network answers where it is sure, if the bundle has
            one: at least 99.8% of the labels are then those of the full network.

    Raises:
        ModelError: if the graph cannot be run, or does not have the inputs and outputs of a dogvscat graph.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, *, exact: bool = False) -> None:
        self.threads = threads or available_cpus()
        self.bundle = bundle
        self.rules = bundle.rules
        self._networks = Networks(bundle, self.threads, exact=exact)

    @property
    def card(self) -> "Card":
        """The whole card of the bundle."""
        return self.bundle.card

    @property
    def name(self) -> str:
        """What answers, such as `best@3f9c2ab81d04`; with `-exact` at the end if the full network answers everything,
        although the bundle has a first one. So answers of both kinds are told apart."""
        is_exact = self.bundle.first is not None and not self._networks.has_first
        return self.bundle.name + "-exact" * is_exact

    @property
    def problem(self) -> str | None:
        """Why the first network of the bundle cannot be used on this machine; usually there is no problem."""
        return self._networks.problem

    @property
    def warnings(self) -> list[str]:
        """What all users must know about the network, and about its use on this machine; usually there is nothing."""
        return [*self.rules.warnings, *filter(None, [self.problem])]

    @classmethod
    def load(
        cls,
        model: os.PathLike[str] | str | None = None,
        threads: int = 0,
        public_key: os.PathLike[str] | str | None = None,
        *,
        exact: bool = False,
    ) -> Self:
        """Load a bundle and check the sha256 of every file. Before its first use, card and graphs are checked too, and
        its golden pictures must get the answers in its card.

        Args:
            model: A run folder or a bundle folder, or None for the bundled model.
            threads: CPU threads, 0 for as many as there are CPUs that this process may use.
            public_key: A PEM file; the bundle must be signed with the matching private key. None: no signature needed.
            exact: Ask only the full network.

        Raises:
            ModelError: if there is no bundle, or it is damaged or not signed.
            UsageError: if the key cannot be used.
        """
        folder, key = (None if path is None else Path(path) for path in (model, public_key))
        bundle = read_bundle(folder, key)
        if is_verified(bundle, exact=exact):
            return cls(bundle, threads, exact=exact)
        check_bundle(bundle)
        predictor = cls(bundle, threads, exact=exact)
        predictor.check_golden()
        remember_verified(bundle, exact=exact)
        return predictor

    def __repr__(self) -> str:
        negative, positive = self.card.class_names
        return f"<Predictor {self.name}: {negative} or {positive}, {self.card.image_size} pixels>"

    def check_golden(self) -> None:
        """Answer the golden pictures with every network, and compare with the card.

        Raises:
            ModelError: naming the picture whose answer differs.
        """
        from dogvscat.bundle.predict.golden import check_golden  # here: it needs the whole card

        check_golden(self.bundle, self._networks)

    def answer_logits(self, pixels: np.ndarray) -> Logits:
        """The log-odds that predictions rest on: of the first network where it is sure, else of the full one.

        Args:
            pixels: As for `logits`.

        Raises:
            ModelError: as for `logits`.
        """
        return self._networks.answer(pixels)

    def logits(self, pixels: np.ndarray) -> Logits:
        """Calibrated log-odds of the full network, of the positive class and of showing neither, if it has that output.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.

        Raises:
            ModelError: if the graph fails, or its outputs are not finite numbers of the expected shape.
        """
        return run_graph(self._networks.full(), pixels)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 (num_images,), of the full network.

        Args:
            pixels: As for `logits`.
        """
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
        return run_class_activation(self._networks.full(), pixels)

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
                yield from self._predict_decoded(self.threads, [*pool.map(partial(self._decode, decode), first)])
                return
            pending: deque[Future[list[Prediction | Failure]]] = deque()
            # Many photos: each thread takes whole batches, and a run of a graph stays on it.
            self._networks.open(1)
            for batch in itertools.chain([first], batches):
                pending.append(pool.submit(self._predict_batch, decode, batch))
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
        return self._predict_pixels(self.threads, pixels, names)

    def _predict_pixels(self, threads: int, pixels: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        return predictions_of(self.rules, self._networks.answer(pixels, threads), names) if len(pixels) else []

    def _predict_batch(self, decode: Decode, batch: Sequence[tuple[int, PhotoInput]]) -> list[Prediction | Failure]:
        """Decode a batch of numbered photos and predict them, all on the calling thread."""
        return self._predict_decoded(1, [self._decode(decode, photo) for photo in batch])

    def _predict_decoded(
        self, threads: int, decoded: Sequence[tuple[str, np.ndarray | ImageError]]
    ) -> list[Prediction | Failure]:
        """Predict the images among some results of `_decode`; the errors become failures, in place."""
        images = [(name, image) for name, image in decoded if isinstance(image, np.ndarray)]
        pixels = np.array([image for _, image in images])  # (num_decodable, image_size, image_size, 3)
        predictions = iter(self._predict_pixels(threads, pixels, [name for name, _ in images]))
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
