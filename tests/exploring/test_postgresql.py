"""`dogvscat tune --storage` on a real PostgreSQL, which these tests start and stop."""

import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.helpers import Dogvscat, quick_base, read_table, run_until, signal_at

pytestmark = pytest.mark.slow

SPACE = f"""
{quick_base("training.epochs=2", "training.early_stopping_patience=0")}
[space]
"training.learning_rate" = {{ low = 1e-4, high = 1e-2, log = true }}
"training.batch_size" = {{ choices = [4, 8] }}
"""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on a loopback port, only for these tests."""

    programs: Path
    folder: Path
    port: int
    password: str

    def url(self, password: str | None = None, database: str = "postgres") -> str:
        """URL of a database, as `--storage` takes it."""
        return f"postgresql+pg8000://searcher:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self.run("pg_ctl", "-w", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash would."""
        self.run("pg_ctl", "-w", "-D", self.folder / "data", "-m", "immediate", "stop")

    def make_database(self, name: str) -> str:
        """An empty database; returns its URL."""
        environment = {**os.environ, "PGPASSWORD": self.password}
        address = ("-h", "127.0.0.1", "-p", self.port, "-U", "searcher")
        self.run("createdb", *address, name, env=environment)
        return self.url(database=name)

    def run(self, program: str, *arguments: object, env: dict[str, str] | None = None) -> None:
        """One of PostgreSQL's programs; it refuses root, so root becomes `postgres`, which Debian's package made."""
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        command = [*as_user, str(self.programs / program), *map(str, arguments)]
        done = subprocess.run(  # files, not pipes: the server would keep those open
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, env=env, check=False
        )
        log = self.folder / "log"
        assert done.returncode == 0, f"{command}: {log.read_text() if log.exists() else 'no log'}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A running server. A test that stops it starts it again."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # where Debian's package keeps its server programs
    if not found:
        pytest.skip("PostgreSQL is needed: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:  # paths of sockets are short
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Server(found[-1], folder, port, secrets.token_hex(8))
        (folder / "password").write_text(server.password)
        (folder / "password").chmod(0o644)
        secret = ("--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=searcher")
        server.run("initdb", "-D", folder / "data", "--no-sync", "--encoding=UTF8", *secret)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of two settings."""
    file = tmp_path_factory.mktemp("space") / "space.toml"
    file.write_text(SPACE)
    return file


def ended(storage: optuna.storages.BaseStorage) -> list[tuple[object, ...]]:
    """What a storage keeps of the trials that ended, in order."""
    trials = optuna.load_study(study_name="dogvscat-classic", storage=storage).trials
    kept = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    return [(trial.params, trial.value, trial.intermediate_values, trial.user_attrs["epochs"]) for trial in kept]


def ended_at(url: str) -> list[tuple[object, ...]]:
    """As `ended`, of a database."""
    storage = RDBStorage(url)
    try:
        assert [study.study_name for study in optuna.get_all_study_summaries(storage)] == ["dogvscat-classic"]
        return ended(storage)
    finally:
        storage.engine.dispose()


def test_a_killed_search_goes_on_and_ends_as_one_in_a_journal(
    server: Server, space: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    url = server.make_database("killed")
    common = ["tune", str(drawn_photos), "--config", str(space), "--trials", "4", "--no-pruning"]
    through = dogvscat(*common, "--out", tmp_path / "journal")
    assert through.returncode == 0, through.stderr

    command = [*common, "--out", str(tmp_path / "database"), "--storage", url]
    killed = signal_at("2 of 4 done", signal.SIGKILL, *command)
    assert killed.returncode == -signal.SIGKILL
    done = dogvscat(*command)
    assert done.returncode == 0, done.stderr
    assert "2 of 4 done" not in done.stderr  # what was finished is kept
    assert "3 of 4 done" in done.stderr

    journal = JournalStorage(JournalFileBackend(str(tmp_path / "journal" / "trials.journal")))
    assert ended_at(url) == ended(journal)
    assert len({str(trial[0]) for trial in ended(journal)}) == 4  # no trial is proposed twice
    assert not (tmp_path / "database" / "trials.journal").exists()
    assert (tmp_path / "database" / "best.toml").read_text() == (tmp_path / "journal" / "best.toml").read_text()
    refused = dogvscat(*command, "--seed", "7")
    assert (refused.returncode, "holds another search" in refused.stderr) == (2, True)


def test_a_server_that_dies_midway_is_named_and_finished_trials_are_kept(
    server: Server, space: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    url = server.make_database("dying")
    flags = ["--config", str(space), "--out", str(tmp_path / "out"), "--trials", "3", "--no-pruning", "--storage", url]
    command = ["tune", str(drawn_photos), *flags]
    result = run_until("1 of 3 done", lambda _: server.stop(), *command)
    message = result.stderr
    try:
        assert result.returncode == 1, message
        assert f"the storage postgresql+pg8000://searcher:***@127.0.0.1:{server.port}/dying was lost: " in message
        assert "hint: Finished trials are kept" in message
        assert server.password not in message
        assert "Traceback" not in message
        refused = dogvscat(*command)
        assert refused.returncode == 2
        assert "cannot be used: Can't create a connection to host 127.0.0.1" in refused.stderr
    finally:
        server.start()
    done = dogvscat(*command)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 done" not in done.stderr
    assert len(ended_at(url)) == 3
    states = [row["state"] for row in read_table(tmp_path / "out" / "trials.csv")]
    assert states.count("complete") == 3  # the running one, if it was stored in time, failed and was proposed again
    assert set(states) <= {"complete", "fail"}


@pytest.mark.parametrize(
    ("database", "password", "message"),
    [
        ("postgres", "wrong-secret", 'password authentication failed for user "searcher"'),
        ("nowhere", None, 'database "nowhere" does not exist'),
    ],
)
def test_what_the_server_refuses_is_named_without_the_password(
    server: Server,
    space: Path,
    drawn_photos: Path,
    dogvscat: Dogvscat,
    tmp_path: Path,
    database: str,
    password: str | None,
    message: str,
) -> None:
    url = server.url(password, database)
    done = dogvscat("tune", drawn_photos, "--config", space, "--out", tmp_path / "out", "--storage", url)
    assert done.returncode == 2, done.stderr
    assert f"searcher:***@127.0.0.1:{server.port}/{database} cannot be used: {message}" in done.stderr
    assert (password or server.password) not in done.stderr
    assert "Traceback" not in done.stderr
