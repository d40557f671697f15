"""Micro-batching by itself: which items go together, which fail alone, and which are skipped."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from dogvscat.service.batching import Batcher


class Gate:
    """Work that waits until it is let on, so that a test decides what has gathered meanwhile."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.started.release()
        assert self.open.wait(30)
        if any(item < 0 for item in items):
            raise ValueError(f"negative among {list(items)}")
        return [item * item for item in items]


def with_batcher(gate: Gate, most: int, scenario: Callable[[Batcher[int, int]], object]) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(gate, most, pool)
            worker = asyncio.create_task(batcher.run())
            try:
                await scenario(batcher)  # type: ignore[misc]
            finally:
                gate.open.set()
                worker.cancel()
                with suppress(asyncio.CancelledError):
                    await worker

    asyncio.run(run())


async def first_started(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.started.acquire, timeout=30)


async def all_submitted() -> None:
    """Tasks start in the order in which they were created: once a later callback has run, their items are queued."""
    later = asyncio.Event()
    asyncio.get_running_loop().call_soon(later.set)
    await later.wait()


def test_the_first_goes_alone_and_what_arrives_meanwhile_goes_together() -> None:
    gate = Gate()

    async def scenario(batcher: Batcher[int, int]) -> None:
        first = asyncio.create_task(batcher.submit(1))
        await first_started(gate)
        others = [asyncio.create_task(batcher.submit(item)) for item in range(2, 8)]
        await all_submitted()
        gate.open.set()
        assert await asyncio.gather(first, *others) == [1, 4, 9, 16, 25, 36, 49]

    with_batcher(gate, 4, scenario)
    assert gate.batches == [[1], [2, 3, 4, 5], [6, 7]]


def test_an_item_that_fails_spoils_no_other_items_answer() -> None:
    gate = Gate()

    async def scenario(batcher: Batcher[int, int]) -> None:
        first = asyncio.create_task(batcher.submit(1))
        await first_started(gate)
        others = [asyncio.create_task(batcher.submit(item)) for item in (2, -3, 4)]
        await all_submitted()
        gate.open.set()
        one, two, failed, four = await asyncio.gather(first, *others, return_exceptions=True)
        assert (one, two, four) == (1, 4, 16)
        assert isinstance(failed, ValueError)
        assert "negative among [-3]" in str(failed)
        assert await batcher.submit(5) == 25  # and the batcher continues

    with_batcher(gate, 4, scenario)


def test_a_cancelled_item_is_skipped() -> None:
    gate = Gate()

    async def scenario(batcher: Batcher[int, int]) -> None:
        first = asyncio.create_task(batcher.submit(1))
        await first_started(gate)
        impatient, patient = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
        await all_submitted()
        impatient.cancel()
        first.cancel()  # in the middle of its work: its result is dropped, and nothing else
        await asyncio.wait([impatient, first])
        gate.open.set()
        assert await patient == 9

    with_batcher(gate, 4, scenario)
    assert gate.batches == [[1], [3]]


def test_work_that_loses_a_result_is_an_error() -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as pool:
            batcher: Batcher[int, int] = Batcher(lambda items: [], 4, pool)
            worker = asyncio.create_task(batcher.run())
            with pytest.raises(RuntimeError, match="expected 1 results, received 0"):
                await batcher.submit(1)
            worker.cancel()

    asyncio.run(run())
