"""Progress bars appear on a terminal only, after a while, and leave the items unchanged. Native noise is shown on
failure only. Both are tested in separate processes, because they are about file descriptor 2."""

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


NOISY_PROGRAM = """
import os, sys
from dogvscat.stderr import quiet_stderr
descriptors = set(os.listdir("/dev/fd"))
print("before", file=sys.stderr)
try:
    with quiet_stderr():
        os.write(2, b"native\\n")
        sys.stderr.write("half a line")
        {body}
finally:
    assert set(os.listdir("/dev/fd")) == descriptors
    print("|after", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("body", "expected", "exit_code"),
    [
        ("pass", "before\n|after\n", 0),
        ("raise SystemExit(7)", "before\nnative\nhalf a line|after\n", 7),
        ("raise KeyError('x')", "before\nnative\nhalf a line|after\nTraceback", 1),
        ("os.write(2, bytes(100_000)); raise SystemExit(7)", "before\nnative\n", 7),
    ],
)
def test_noise_is_shown_only_on_failure(body: str, expected: str, exit_code: int) -> None:
    command = [sys.executable, "-c", NOISY_PROGRAM.format(body=body)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    result = subprocess.run(command, env=buffered, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == exit_code
    if exit_code:
        assert result.stderr.startswith(expected)
    else:
        assert result.stderr == expected
