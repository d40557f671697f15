"""From uploads to answers without blocking the event loop: photos are decoded in processes of their own, network and
heat maps run in threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import ParamSpec, TypeVar

import numpy as np
from PIL import Image

from dogvscat.bundle.predict.heat_map import heat_map_layer, heat_maps
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import ImageError
from dogvscat.photos.isolation.pool import DecoderPool
from dogvscat.service.admission import Admission
from dogvscat.service.batching import Batcher
from dogvscat.service.metrics import Metrics
from dogvscat.service.problem_details import RequestError
from dogvscat.service.uploads import Upload

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """The answer for one photo."""

    prediction: Prediction
    heat_map: bytes | None = None
    """A PNG to lay over the photo, if the client asked for one."""


class Inference:
    """The predictor with its queue, threads and batches.

    Args:
        predictor: A loaded bundle.
        decoders: Decode the photos.
        admission: Counts the places in the queue, and learns how long photos take.
        metrics: Counts batches and predictions.
    """

    def __init__(self, predictor: Predictor, decoders: DecoderPool, admission: Admission, metrics: Metrics) -> None:
        self.predictor = predictor
        self.decoders = decoders
        self.admission = admission
        self._metrics = metrics
        self._decoder_pool = ThreadPoolExecutor(decoders.num_workers, "decoding")  # they wait for the processes
        self._form_pool = ThreadPoolExecutor(predictor.threads, "forms")
        self._network_pool = ThreadPoolExecutor(1, "network")  # ONNX Runtime uses all its threads by itself
        self._predictions = Batcher(
            self._predict_batch, admission.limits.batch_size, self._network_pool, metrics.count_batch
        )
        # One heat map at a time, since it takes as long as many predictions; batches of predictions go in between.
        self._heat_maps = Batcher(self._explain_batch, 1, self._network_pool)
        self._batcher_tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether new photos are accepted and will be answered."""
        tasks = self._batcher_tasks
        return not self.admission.draining and bool(tasks) and not any(task.done() for task in tasks)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the batchers inside the block; without them no photo is answered."""
        self._batcher_tasks = [asyncio.create_task(batcher.run()) for batcher in (self._predictions, self._heat_maps)]
        try:
            yield
        finally:
            for task in self._batcher_tasks:
                task.cancel()
            await asyncio.gather(*self._batcher_tasks, return_exceptions=True)
            for pool in (self._decoder_pool, self._form_pool, self._network_pool):
                # A computation in a thread cannot be interrupted; its result is not needed any more.
                pool.shutdown(wait=False, cancel_futures=True)

    async def in_thread(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Call a function in a thread, where it does not block the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._form_pool, lambda: function(*args, **kwargs))

    async def answer_uploads(self, uploads: Sequence[Upload], explain: bool) -> list[Answer | ImageError]:
        """The answers for some photos, in order; a photo that cannot be used has its error in its place.

        Args:
            uploads: The photos.
            explain: Whether each answer gets a heat map.

        Raises:
            RequestError: 429 if the queue is too long, 503 if the deadline passes nevertheless.
        """
        # All photos are decoded at once, so they reach the batcher together and share batches.
        async with self._queued(len(uploads), explain):
            return await asyncio.gather(*(self._answer_upload(upload, explain) for upload in uploads))

    async def predict_pixels(self, pixels: np.ndarray) -> list[Prediction]:
        """The predictions for decoded images.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3).

        Raises:
            RequestError: 429 if the queue is too long, 503 if the deadline passes nevertheless.
        """
        async with self._queued(len(pixels), explain=False):
            return await asyncio.gather(*(self._predict(image, str(number)) for number, image in enumerate(pixels)))

    @asynccontextmanager
    async def _queued(self, num_photos: int, explain: bool) -> AsyncIterator[None]:
        """Hold places in the queue and enforce the deadline inside the block."""
        limits = self.admission.limits
        try:
            with self.admission.queue_places(num_photos, explain=explain):
                # At the deadline the photo's coroutines are canceled, and the batchers skip their items.
                async with asyncio.timeout(limits.answer_seconds):
                    yield
        except TimeoutError:
            self._metrics.count_missed_deadline()
            message = f"there was no answer within {limits.answer_seconds:g} seconds"
            hint = "Try again after the number of seconds in Retry-After, with fewer photos at once."
            raise RequestError(503, "deadline", message, hint=hint, retry_seconds=limits.retry_seconds) from None

    async def _answer_upload(self, upload: Upload, explain: bool) -> Answer | ImageError:
        arguments = (bytes(upload.data), upload.name, self.predictor.card.image_size)
        try:
            loop = asyncio.get_running_loop()
            pixels = await loop.run_in_executor(self._decoder_pool, self._decode, *arguments)
        except ImageError as error:
            return error
        prediction = await self._predict(pixels, upload.name)
        return Answer(prediction, await self._heat_maps.submit(pixels) if explain else None)

    def _decode(self, data: bytes, name: str, image_size: int) -> np.ndarray:
        with self.admission.paces.decoding.measured():
            return self.decoders.decode(data, name, image_size)

    async def _predict(self, pixels: np.ndarray, name: str) -> Prediction:
        """`pixels` is uint8 (image_size, image_size, 3)."""
        prediction = await self._predictions.submit((pixels, name))
        self._metrics.count_prediction(prediction.label)
        return prediction

    def _predict_batch(self, batch: Sequence[tuple[np.ndarray, str]]) -> Sequence[Prediction]:
        pixels = np.stack([image for image, _ in batch])  # (num_images, image_size, image_size, 3)
        with self.admission.paces.network.measured(len(batch)):
            return self.predictor.predict_pixels(pixels, [name for _, name in batch])

    def _explain_batch(self, batch: Sequence[np.ndarray]) -> Sequence[bytes]:
        with self.admission.paces.heat_map.measured(len(batch)):
            return [_encode_png(heat_map_layer(heat_map)) for heat_map in heat_maps(self.predictor, np.stack(batch))]


def _encode_png(pixels: np.ndarray) -> bytes:
    """`pixels` is uint8 (height, width, 4), RGBA."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
