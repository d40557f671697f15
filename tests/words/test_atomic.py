"""A file is there whole or not at all: after errors, kills, and for every odd name and value."""

import csv
import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from dogvscat import atomic, caches
from dogvscat.errors import WriteError
from dogvscat.text import unescape_cell

OVERWRITING = """
import sys
from pathlib import Path
from dogvscat.atomic import write_bytes
version = 0
while True:
    version += 1
    write_bytes(Path(sys.argv[1]), b"%08d" % version * 50_000)
    print(version, flush=True)
"""


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file.bin"
    atomic.write_bytes(path, b"first")
    atomic.write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.bin"
    atomic.write_bytes(path, b"old")
    expected = WriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), atomic.atomic_file(path) as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    atomic.write_bytes(path, b"old")
    with atomic.atomic_file(path) as file:
        file.write(bytes(1_000_000))
        assert path.read_bytes() == b"old"
    assert path.stat().st_size == 1_000_000


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    rng = random.Random(0)
    for _ in range(30):
        process = subprocess.Popen([sys.executable, "-c", OVERWRITING, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout:
            finished = [int(process.stdout.readline()) for _ in range(rng.randint(1, 6))]
            process.kill()
            process.wait(timeout=60)
        content = path.read_bytes()
        assert content == content[:8] * 50_000
        assert int(content[:8]) >= finished[-1]
    assert all(other.suffix == ".partial" for other in tmp_path.iterdir() if other != path)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_that_the_user_set(tmp_path: Path, mask: int, expected: int) -> None:
    with _umask(mask):
        atomic.write_bytes(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected


def test_names_as_long_as_a_file_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127, "😺" * 63, os.fsdecode(b"\xff" * 255)):
        atomic.write_bytes(tmp_path / name, b"there")
        assert (tmp_path / name).read_bytes() == b"there"


@pytest.mark.parametrize(("blocker", "reason"), [("file", "exists|Not a directory"), ("folder", "directory")])
def test_places_that_cannot_be_written_to(tmp_path: Path, blocker: str, reason: str) -> None:
    if blocker == "file":
        (tmp_path / "there").touch()
        path = tmp_path / "there" / "inside"
    else:
        path = tmp_path / "there"
        path.mkdir()
        (path / "kept").touch()
    with pytest.raises(WriteError, match=f"could not write .*there.*: .*({reason})") as caught:
        atomic.write_bytes(path, b"x")
    assert caught.value.hint
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]


def test_errors_give_advice() -> None:
    for number, advice in ((28, "Free some space"), (13, "Choose a folder"), (30, "Choose a folder"), (5, "Check")):
        with (
            pytest.raises(WriteError, match="could not write out: it broke") as caught,
            atomic.wrap_write_errors(Path("out")),
        ):
            raise OSError(number, "it broke")
        assert str(caught.value.hint).startswith(advice)


def test_text_keeps_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.jpg")
    atomic.write_text(tmp_path / "names.txt", f"ü {name}\n")
    assert (tmp_path / "names.txt").read_bytes() == "ü ".encode() + b"caf\xe9 \xff.jpg\n"


def test_json_is_strict_and_whole(tmp_path: Path) -> None:
    document = {"name": os.fsdecode(b"\xff"), "values": [1, 0.1, None, True]}
    atomic.write_json(tmp_path / "a.json", document)
    assert json.loads((tmp_path / "a.json").read_text()) == document
    with pytest.raises(ValueError, match="Out of range"):
        atomic.write_json(tmp_path / "a.json", {"value": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == document


def test_csv_round_trips_every_odd_cell(tmp_path: Path) -> None:
    odd = ["a,b", 'say "hi"', "two\nlines", "bare\rreturn", "crlf\r\n", "", " spaced ", os.fsdecode(b"\xff\xfe"), "ü\0"]
    rows = [[cell, "x"] for cell in odd] + [["x", cell] for cell in odd]
    atomic.write_csv(tmp_path / "table.csv", ["first", "second"], rows)
    with (tmp_path / "table.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [[*map(unescape_cell, row)] for row in csv.reader(file)] == [["first", "second"], *rows]


def test_plain_csv_has_unix_line_ends(tmp_path: Path) -> None:
    atomic.write_csv(tmp_path / "table.csv", ["a", "b"], [[1, 0.1], ["x", None]])
    assert (tmp_path / "table.csv").read_bytes() == b"a,b\n1,0.1\nx,\n"


def test_an_error_while_rows_are_made_leaves_the_old_table(tmp_path: Path) -> None:
    atomic.write_csv(tmp_path / "table.csv", ["a"], [[1]])

    def rows() -> Iterator[list[int]]:
        yield [2]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        atomic.write_csv(tmp_path / "table.csv", ["a"], rows())
    assert (tmp_path / "table.csv").read_bytes() == b"a\n1\n"


def test_a_cache_that_cannot_be_written_may_be_moved(tmp_path: Path) -> None:
    for path, hint in ((caches.folder("pixels"), "Set DOGVSCAT_HOME to a folder"), (tmp_path, "Choose a folder")):
        with pytest.raises(WriteError, match="could not write") as caught, atomic.wrap_write_errors(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        assert str(caught.value.hint).startswith(hint)


def killed_at_operation(number: int, work: Callable[[], object]) -> bool:
    """Do some work in a child process that dies before its n-th operation on files; returns whether it died."""
    if (pid := os.fork()) == 0:
        remaining = number

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal remaining
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "fcntl.flock"):
                remaining -= 1
                if not remaining:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def forget_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process clear again, as if it had just started."""
    monkeypatch.setattr(atomic, "_cleared", set())


def test_killed_at_any_operation_a_folder_is_whole_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [{"a": b"first", "deep/b": b"first"}, {"a": b"second", "c": b"second"}]
    outcomes = set()
    for number in range(1, 1000):
        parent = tmp_path / str(number)
        folder = parent / "model"
        atomic.write_folder(folder, contents[0])
        if not killed_at_operation(number, lambda: atomic.write_folder(folder, contents[1])):  # noqa: B023
            break
        forget_cleared(monkeypatch)
        atomic.clear_leftovers(parent)
        assert [path.name for path in parent.iterdir()] == ["model"], number
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert files in contents, number
        outcomes.add(contents.index(files))
    assert number > 20
    assert outcomes == {0, 1}


def test_killed_at_any_operation_a_file_is_whole_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    for number in range(1, 1000):
        path.write_bytes(b"first")
        forget_cleared(monkeypatch)
        if not killed_at_operation(number, lambda: atomic.write_bytes(path, b"second")):
            break
        atomic.clear_leftovers(tmp_path)
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_bytes() in (b"first", b"second")
    assert number > 3


def test_what_is_being_written_is_no_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic.atomic_file(tmp_path / "file") as file:
        file.write(b"half")
        forget_cleared(monkeypatch)
        atomic.clear_leftovers(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"half"


def test_files_of_others_are_no_left_overs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ".photo-0123456789abcdef.partial"
    names = ["mine.partial", f"x{name}", ".photo-0123.partial", f"{name}.jpg"]
    for mine in names:
        (tmp_path / mine).touch()
    (tmp_path / name).mkdir()
    (tmp_path / name / "photo.jpg").touch()  # a folder without a lock file is not of this module
    (tmp_path / name.replace("photo", "link")).symlink_to(tmp_path / names[0])
    atomic.clear_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 6

    def flock(descriptor: int, operation: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "no locks here")

    (tmp_path / name.replace("photo", "file")).touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    forget_cleared(monkeypatch)
    atomic.clear_leftovers(tmp_path)  # nothing proves that its writer is dead
    assert len(list(tmp_path.iterdir())) == 7
