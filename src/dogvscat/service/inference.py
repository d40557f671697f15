"""From bytes to an answer, without ever keeping the event loop waiting: decoding, network and heat-maps in threads."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import ParamSpec, TypeVar

import numpy as np
from PIL import Image

from dogvscat.bundle.predict.heat_map import heat_maps, layer
from dogvscat.bundle.predict.predictor import Prediction, Predictor
from dogvscat.errors import ImageError
from dogvscat.photos.decoder import decode
from dogvscat.service.admission import Admission
from dogvscat.service.batching import Batcher
from dogvscat.service.metrics import Metrics
from dogvscat.service.problem_details import RequestError
from dogvscat.service.uploads import Upload

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """What is said about one picture."""

    prediction: Prediction
    heat_map: bytes | None = None
    """A PNG to lay over the photo."""


class Answering:
    """The network and all that stands in front of it.

    Args:
        predictor: A loaded bundle.
        admission: Who may come in.
        metrics: Told of batches and answers.
    """

    def __init__(self, predictor: Predictor, admission: Admission, metrics: Metrics) -> None:
        self.predictor = predictor
        self.admission = admission
        self._metrics = metrics
        self._decoding = ThreadPoolExecutor(os.cpu_count(), "decoding")
        self._network = ThreadPoolExecutor(1, "network")  # it uses all cores by itself
        most = admission.limits.batch
        self._predictions = Batcher(self._predict, most, self._network, metrics.batch)
        # One at a time: a heat-map takes as long as many answers, and batches of answers go between.
        self._heat_maps = Batcher(self._explain, 1, self._network)
        self._workers: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether new pictures are taken and will be answered."""
        return not self.admission.draining and bool(self._workers) and not any(task.done() for task in self._workers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers are given inside the block."""
        self._workers = [asyncio.create_task(batcher.run()) for batcher in (self._predictions, self._heat_maps)]
        try:
            yield
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            for pool in (self._decoding, self._network):
                pool.shutdown(wait=False, cancel_futures=True)

    async def in_thread(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Call a function where it delays nobody."""
        return await asyncio.get_running_loop().run_in_executor(self._decoding, lambda: work(*args, **kwargs))

    async def uploads(self, pictures: Sequence[Upload], explain: bool) -> list[Answer | ImageError]:
        """The answers for some pictures, in order; one that cannot be used has its error in its place.

        Raises:
            RequestError: 429 or 503 where there is no place or it takes too long.
        """
        async with self._turn(len(pictures)):
            return await asyncio.gather(*(self._upload(picture, explain) for picture in pictures))

    async def pixels(self, pixels: np.ndarray) -> list[Prediction]:
        """The answers for decoded pictures, uint8 (num_images, image_size, image_size, 3); raises as `uploads`."""
        async with self._turn(len(pixels)):
            named = [(picture, str(number)) for number, picture in enumerate(pixels)]
            return await asyncio.gather(*map(self._predicted, named))

    @asynccontextmanager
    async def _turn(self, pictures: int) -> AsyncIterator[None]:
        limits = self.admission.limits
        try:
            with self.admission.places(pictures):
                async with asyncio.timeout(limits.answer_seconds):
                    yield
        except TimeoutError:
            message = f"there was no answer within {limits.answer_seconds:g} seconds"
            raise RequestError(503, "deadline", message, retry_seconds=limits.retry_seconds) from None

    async def _upload(self, upload: Upload, explain: bool) -> Answer | ImageError:
        try:
            pixels = await self.in_thread(decode, bytes(upload.data), upload.name, self.predictor.card.image_size)
        except ImageError as error:
            return error
        prediction = await self._predicted((pixels, upload.name))
        return Answer(prediction, await self._heat_maps.result(pixels) if explain else None)

    async def _predicted(self, named: tuple[np.ndarray, str]) -> Prediction:
        prediction = await self._predictions.result(named)
        self._metrics.answer(prediction.label)
        return prediction

    def _predict(self, batch: Sequence[tuple[np.ndarray, str]]) -> Sequence[Prediction]:
        return self.predictor.answer(np.stack([pixels for pixels, _ in batch]), [name for _, name in batch])

    def _explain(self, batch: Sequence[np.ndarray]) -> Sequence[bytes]:
        return [_png(layer(heat)) for heat in heat_maps(self.predictor, np.stack(batch))]


def data_url(png: bytes) -> str:
    """A PNG as something that fits into JSON and into an `img`."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
