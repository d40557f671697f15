"""Micro-batching: items that arrive while the worker thread is busy are collected and processed together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Job(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Passes single items in batches to a function that takes several.

    There is no waiting time to fill a batch: a lone item starts at once, and the batches grow by themselves under load.

    Args:
        process: From a batch to that many results, in order; runs in `executor`.
        batch_size: Largest number of items in a batch.
        executor: Where the batches are processed.
        on_batch: Called with the size of each batch.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Item]], Sequence[Result]],
        batch_size: int,
        executor: Executor,
        on_batch: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._process = process
        self._batch_size = batch_size
        self._executor = executor
        self._on_batch = on_batch
        self._jobs: deque[_Job[Item, Result]] = deque()
        self._job_added = asyncio.Event()

    async def submit(self, item: Item) -> Result:
        """The result for one item. If the caller is canceled before the item's turn, the item is skipped.

        Raises:
            Exception: what `process` raises for a batch of this single item.
        """
        job: _Job[Item, Result] = _Job(item, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._job_added.set()
        return await job.future

    async def run(self) -> None:
        """Process batches until canceled. One batch is in the executor at a time."""
        loop = asyncio.get_running_loop()
        while True:
            await self._job_added.wait()
            batch = self._next_batch()
            if not batch:
                # No `await` lies between the empty queue and the clearing, so no item can slip in unnoticed.
                self._job_added.clear()
                continue
            self._on_batch(len(batch))
            outcomes = await loop.run_in_executor(self._executor, self._outcomes, [job.item for job in batch])
            # Futures of asyncio may only be set in the event loop's thread, so not in `_outcomes`.
            for job, outcome in zip(batch, outcomes, strict=True):
                if job.future.done():  # canceled while the batch was processed
                    continue
                if isinstance(outcome, Exception):
                    job.future.set_exception(outcome)
                else:
                    job.future.set_result(outcome)

    def _next_batch(self) -> list[_Job[Item, Result]]:
        """The oldest jobs whose callers still wait."""
        batch: list[_Job[Item, Result]] = []
        while self._jobs and len(batch) < self._batch_size:
            job = self._jobs.popleft()
            if not job.future.done():
                batch.append(job)
        return batch

    def _outcomes(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """The result or error of each item. If a batch fails, each item is retried separately: one bad item must not
        spoil the others' answers."""
        try:
            results = self._process(items)
            if len(results) != len(items):
                raise RuntimeError(f"expected {len(items)} results, received {len(results)}")
            return results
        except Exception as error:  # whatever it is, it belongs to a request and must not end the batcher
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item])]
