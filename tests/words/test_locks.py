"""Locks keep other processes out, end with their process, and hold back nobody where a file system has none."""

import errno
import fcntl
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from dogvscat.errors import UsageError
from dogvscat.locks import LOCK_FILE, exclusive, one_at_a_time, try_lock

HOLDING = """
import sys
from pathlib import Path
from dogvscat import locks
with getattr(locks, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
    Path(sys.argv[2], "work").touch()
"""


def hold(lock: str, folder: Path) -> "subprocess.Popen[bytes]":
    """Another process that holds a lock until its stdin is closed, and then leaves a file."""
    command = [sys.executable, "-c", HOLDING, lock, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_folder_is_for_one_process_until_that_is_killed(tmp_path: Path) -> None:
    with hold("exclusive", tmp_path / "out") as process:
        with pytest.raises(UsageError, match=r"another command is running in .*out"), exclusive(tmp_path / "out"):
            pass
        process.kill()
        process.wait(timeout=60)
    with exclusive(tmp_path / "out"):
        pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK_FILE]


def test_the_same_work_is_done_one_process_after_the_other(tmp_path: Path) -> None:
    with hold("one_at_a_time", tmp_path) as process:
        assert process.stdin is not None
        threading.Timer(0.3, process.stdin.close).start()  # by then this process waits
        with one_at_a_time(tmp_path):
            assert (tmp_path / "work").exists()


def test_a_file_is_locked_itself_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    with path.open("ab") as first, path.open("ab") as second:
        assert try_lock(first)
        assert not try_lock(second)
        first.close()
        assert try_lock(second)
    assert list(tmp_path.iterdir()) == [path]  # no lock file next to it


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_on_the_file_system_everyone_may_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(descriptor: int, operation: int) -> NoReturn:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive(tmp_path), exclusive(tmp_path), one_at_a_time(tmp_path), one_at_a_time(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]  # and no soft lock, which a kill would leave


def test_a_cache_that_cannot_be_written_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with one_at_a_time(tmp_path / "file" / "pixels"):
        pass
    with pytest.raises(ZeroDivisionError), one_at_a_time(tmp_path):
        raise ZeroDivisionError


def test_a_folder_that_lock_outside_has_its_lock_next_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with exclusive(folder, lock_outside=True):
        with pytest.raises(UsageError, match="another command is running"), exclusive(folder, lock_outside=True):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [".model.lock"]
    assert list(tmp_path.iterdir()) == []
    with exclusive(folder, lock_outside=True):
        pass
