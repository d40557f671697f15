"""What a person sees while a command works, all of it on stderr: sentences, bars with the time left, no chatter of
native libraries."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Reporter = Callable[[str], None]
"""Shows a person one sentence about what happens."""

Item = TypeVar("Item")

_PATIENCE_SECONDS = 1.0


def on_terminal() -> bool:
    """Whether a person is watching: stderr is a terminal that can move its cursor."""
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
                bar = progress_bars(transient=True)
                bar.start()
                bar.add_task(description, total=total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
    finally:
        if bar is not None:
            bar.stop()


def progress_bars(*columns: "ProgressColumn", transient: bool = False) -> "Progress":
    """Bars on stderr with count and time left, not started yet.

    Args:
        columns: What to show after the times.
        transient: Remove the bars at the end.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left,"),
        TimeElapsedColumn(),
        *columns,
        console=Console(stderr=True),
        transient=transient,
    )


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back everything written to file descriptor 2 inside the block; it is written out if the block fails.

    TensorFlow announces its build on every start and has no setting against it.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
