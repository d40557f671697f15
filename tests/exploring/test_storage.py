"""Storages of a search: URLs, drivers, passwords, and journals with half a last line."""

import gc
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileSymlinkLock
from optuna.trial import TrialState

from dogvscat.errors import UsageError, WriteError
from dogvscat.exploring.search.storage import (
    JOURNAL_FILE,
    _Journal,
    explaining_storage_errors,
    open_storage,
    printable_storage,
)


def refusal(url: str, folder: Path) -> UsageError:
    """The error for a URL that cannot be used."""
    with pytest.raises(UsageError) as caught:
        open_storage(url, folder)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


@pytest.mark.parametrize(
    ("url", "package"),
    [
        ("postgresql://me:secret@127.0.0.1/trials", "psycopg2-binary"),
        ("postgresql+psycopg://me:secret@127.0.0.1/trials", "psycopg[binary]"),
        ("mysql+pymysql://me:secret@127.0.0.1/trials", "pymysql"),
        ("mysql://me:secret@127.0.0.1/trials", "mysqlclient"),
    ],
)
def test_a_driver_that_is_not_installed_is_named_with_its_package(url: str, package: str, tmp_path: Path) -> None:
    error = refusal(url, tmp_path)
    assert error.message.endswith(f"needs the package {package}, which is not installed")
    assert f"pip install '{package}'" in (error.hint or "")
    assert ("start the URL with postgresql+pg8000://" in (error.hint or "")) == url.startswith("postgresql")


def test_the_error_says_whether_url_database_or_file_is_wrong(tmp_path: Path) -> None:
    error = refusal("me:secret", tmp_path)
    assert error.message == "--storage is not a database URL"
    assert "sqlite:///trials.db" in (error.hint or "")
    error = refusal("sqllite:///secret.db?password=secret".replace("secret.db", "trials.db"), tmp_path)
    assert "there is no database 'sqllite'. Did you mean 'sqlite'?" in error.message
    error = refusal(f"sqlite:///{tmp_path}/no/folder/trials.db", tmp_path)
    assert "unable to open database file" in error.message


def test_a_server_that_cannot_be_reached_is_named_without_the_password(tmp_path: Path) -> None:
    error = refusal("postgresql+pg8000://me:secret@127.0.0.1:1/trials", tmp_path)
    assert "postgresql+pg8000://me:***@127.0.0.1:1/trials cannot be used: Can't create a connection" in error.message
    assert "Check the address and the password" in (error.hint or "")


def test_a_password_may_hold_braces(tmp_path: Path) -> None:
    """Optuna treats braces in a URL as a template."""
    error = refusal("postgresql+pg8000://me:{secret}@127.0.0.1:1/trials", tmp_path)
    assert "Can't create a connection" in error.message


def test_a_database_that_is_taken_away_midway_is_a_write_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    storage = open_storage(url, tmp_path)
    study = optuna.create_study(storage=storage)
    (tmp_path / "trials.db").write_bytes(b"this was a database" * 1000)
    with (
        pytest.raises(WriteError, match=r"trials\.db was lost: .*not a database"),
        explaining_storage_errors(url, tmp_path),
    ):
        study.ask()
    assert printable_storage(None, tmp_path) == str(tmp_path / JOURNAL_FILE)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pg8000 leaves its socket open
def test_a_connection_that_is_reset_is_an_error_of_the_storage_and_no_other_is(tmp_path: Path) -> None:
    """A server that resets the connection at once, as if it crashed; the driver passes on the system's error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql+pg8000://me:secret@127.0.0.1:{server.getsockname()[1]}/trials"

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not close
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        message = refusal(url, tmp_path).message
        thread.join()
        gc.collect()
    assert "/trials cannot be used: " in message
    with pytest.raises(FileNotFoundError), explaining_storage_errors(url, tmp_path):
        (tmp_path / "gone.jpg").read_bytes()


def test_the_lock_of_a_killed_process_can_be_recognized_by_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is a link to the journal. If it leads there, Optuna removes it after half a minute."""
    monkeypatch.chdir(tmp_path)
    open_storage(None, Path("out"))
    lock = JournalFileSymlinkLock(_Journal(Path("out") / JOURNAL_FILE)._file_path)
    lock.acquire()
    assert Path(f"out/{JOURNAL_FILE}.lock").is_symlink()
    assert Path(f"out/{JOURNAL_FILE}.lock").exists()
    lock.release()


def test_a_torn_last_line_of_a_journal_is_cut_off(tmp_path: Path) -> None:
    optuna.create_study(storage=open_storage(None, tmp_path), study_name="search").ask()
    whole = (tmp_path / JOURNAL_FILE).read_bytes()
    (tmp_path / JOURNAL_FILE).write_bytes(whole + b'{"op_code":5,"worker')
    study = optuna.load_study(storage=open_storage(None, tmp_path), study_name="search")
    study.ask()
    assert [trial.number for trial in study.trials] == [0, 1]
    assert (tmp_path / JOURNAL_FILE).read_bytes().startswith(whole)
    again = optuna.load_study(storage=open_storage(None, tmp_path), study_name="search")
    assert len(again.trials) == 2


def test_a_trial_that_another_machine_ended_is_reported(tmp_path: Path) -> None:
    here, there = (optuna.load_study(study_name=None, storage=storage) for storage in two_views(tmp_path))
    trial = here.ask()
    there.tell(trial.number, state=TrialState.FAIL)
    with (
        pytest.raises(UsageError, match=f"another machine is working in {tmp_path}"),
        explaining_storage_errors(None, tmp_path),
    ):
        trial.set_user_attr("epochs", 1)


def two_views(folder: Path) -> Iterator[BaseStorage]:
    """A journal with a search in it, opened twice as by two machines."""
    first = open_storage(None, folder)
    optuna.create_study(storage=first)
    yield from (first, open_storage(None, folder))
