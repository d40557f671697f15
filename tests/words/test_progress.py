"""Bars appear on a terminal only, after a while, on stderr; items pass through unchanged."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dogvscat.stderr import on_terminal, track

PROGRAM = """
import sys, time
from dogvscat import stderr
items = []
for item in stderr.track(iter(range(40)), "Counting sheep", 40):
    items.append(item)
    if "slow" in sys.argv:
        until = time.monotonic() + 0.04
        while time.monotonic() < until:
            pass
print(sum(items))
"""


def _on_a_terminal(*arguments: str, term: str = "xterm") -> tuple[str, str]:
    """What a program says on stdout, a pipe, and on stderr, a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": "100"}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=theirs, env=environment
        )
        os.close(theirs)
        shown = b"".join(_read(terminal.fileno()))
        stdout, _ = process.communicate(timeout=60)
    return stdout.decode(), shown.decode()


def _read(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # how Linux says that the other side of a terminal is closed
            return
        if not data:
            return
        yield data


def test_a_slow_loop_shows_a_bar_with_the_time_left() -> None:
    stdout, shown = _on_a_terminal("slow")
    assert stdout == "780\n"
    assert "Counting sheep" in shown
    assert "/40" in shown
    assert "left" in shown


@pytest.mark.parametrize(("arguments", "term"), [([], "xterm"), (["slow"], "dumb")])
def test_a_quick_loop_or_a_dumb_terminal_shows_none(arguments: list[str], term: str) -> None:
    assert _on_a_terminal(*arguments, term=term) == ("780\n", "")


def test_off_a_terminal_there_is_none() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM, "slow"], capture_output=True, timeout=60, check=True)
    assert (result.stdout, result.stderr) == (b"780\n", b"")
    assert not on_terminal()


def test_items_come_one_at_a_time_and_errors_pass() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(3):
            taken.append(item)
            yield item
        raise ValueError("no more")

    tracked = track(items(), "Counting", 3)
    assert next(tracked) == 0
    assert taken == [0]
    with pytest.raises(ValueError, match="no more"):
        list(tracked)
