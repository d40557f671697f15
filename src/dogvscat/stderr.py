"""What a person sees on stderr while a command works: messages and progress bars, without the chatter of libraries."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Reporter = Callable[[str], None]
"""Shows one message to the person at the terminal. Packages below the command line receive such a function."""

Item = TypeVar("Item")

_PATIENCE_SECONDS = 1.0
"""Loops that are shorter than this show no bar."""
_SECONDS_PER_UPDATE = 0.1


def on_terminal() -> bool:
    """Whether a person is watching: stderr is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` unchanged while a bar on stderr shows how many are completed and the remaining time.

    Args:
        items: Consumed one at a time.
        description: Shown in front of the bar.
        total: Number of items, or None if it is not known.
    """
    if not on_terminal():
        yield from items
        return
    next_update = time.monotonic() + _PATIENCE_SECONDS
    bar = None
    try:
        for completed, item in enumerate(items, start=1):
            yield item  # the caller works on the item before the next line runs
            if time.monotonic() < next_update:  # an update takes longer than some items
                continue
            if bar is None:
                bar = progress_bars(transient=True)
                bar.start()
                bar.add_task(description, total=total)
            bar.update(bar.task_ids[0], completed=completed)
            next_update = time.monotonic() + _SECONDS_PER_UPDATE
    finally:
        if bar is not None:
            bar.stop()


def progress_bars(*columns: "ProgressColumn", transient: bool = False) -> "Progress":
    """Progress bars on stderr with the count and the remaining time. They are not started yet.

    Args:
        columns: Further columns, at the right.
        transient: Whether the bars are removed at the end.
    """
    from rich.console import Console  # here, because importing rich takes longer than most loops
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
def quiet_stderr(as_note: bool = False) -> Iterator[None]:
    """Discard everything that is written to file descriptor 2 inside the block, unless the block fails.

    Args:
        as_note: On a failure, add the text to the exception as a note (`__notes__`) instead of writing it out.

    Redirecting `sys.stderr` would not be enough: TensorFlow announces its build from C++, on every start, and has no
    setting against it.
    """
    import tempfile  # here: it imports `random`, and every start of the program imports this file

    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)  # from here on native code writes into the file as well
        try:
            yield
        except BaseException as error:  # the captured text may explain the failure
            sys.stderr.flush()
            captured.seek(0)
            if as_note:
                error.add_note(captured.read().decode(errors="replace"))
            else:
                os.write(terminal, captured.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
