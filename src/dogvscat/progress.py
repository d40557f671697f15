"""Progress bars on stderr with the time left: on a terminal only, and only once something takes over a second."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_PATIENCE_SECONDS = 1.0


def on_terminal() -> bool:
    """Whether a person is watching: stderr is a terminal that can move its cursor."""
    import os

    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` unchanged while a bar on stderr shows how many are done and the time left."""
    if not on_terminal():
        yield from items
        return
    started = time.monotonic()
    bar = None
    done = 0
    try:
        for item in items:
            yield item
            done += 1
            if bar is None and time.monotonic() - started > _PATIENCE_SECONDS:
                bar = _start_bar(description, total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
    finally:
        if bar is not None:
            bar.stop()


def _start_bar(description: str, total: int | None):  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, TextColumn("left,"), TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    bar.start()
    bar.add_task(description, total=total)
    return bar
