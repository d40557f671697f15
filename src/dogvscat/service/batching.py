"""Micro-batching: while a worker thread is busy, what arrives gathers and then goes together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Job(NamedTuple, Generic[Item, Result]):
    item: Item
    result: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Brings single items to a function that takes several.

    Args:
        work: From a batch to as many results, in order; runs in `executor`.
        most: Items in a batch.
        executor: Where the work is done.
        on_batch: Told the size of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        most: int,
        executor: Executor,
        on_batch: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._work = work
        self._most = most
        self._executor = executor
        self._on_batch = on_batch
        self._jobs: deque[_Job[Item, Result]] = deque()
        self._arrived = asyncio.Event()

    async def result(self, item: Item) -> Result:
        """What the work makes of one item; an item whose caller is cancelled before its turn is passed over.

        Raises:
            Exception: what the work raises for this item alone.
        """
        job = _Job(item, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._arrived.set()
        return await job.result

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if not batch:
                self._arrived.clear()
                continue
            self._on_batch(len(batch))
            loop = asyncio.get_running_loop()
            outcomes = await loop.run_in_executor(self._executor, self._outcomes, [job.item for job in batch])
            for job, outcome in zip(batch, outcomes, strict=True):
                if job.result.done():  # cancelled meanwhile
                    continue
                if isinstance(outcome, Exception):
                    job.result.set_exception(outcome)
                else:
                    job.result.set_result(outcome)

    def _next_batch(self) -> list[_Job[Item, Result]]:
        batch: list[_Job[Item, Result]] = []
        while self._jobs and len(batch) < self._most:
            job = self._jobs.popleft()
            if not job.result.done():
                batch.append(job)
        return batch

    def _outcomes(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """Results; where a batch fails, each of its items is tried alone, so that one spoils no other's answer."""
        try:
            results = self._work(items)
            if len(results) != len(items):
                raise RuntimeError(f"expected {len(items)} results, received {len(results)}")
            return results
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item])]
