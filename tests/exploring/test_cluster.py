"""Studies and searches on a real Ray cluster of two nodes, of which parts are killed: the same as on one machine."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest

from dogvscat.exploring.cell_result import CellResult
from dogvscat.exploring.execution.job import Job
from dogvscat.exploring.study.cells import FinishedCell, Study
from dogvscat.exploring.study.estimate import BaseTiming
from dogvscat.exploring.study.plan import PlannedCell, StudyPlan, load_plan, plan_cells
from dogvscat.exploring.study.run import _StudyInProgress
from dogvscat.exploring.study.schedule import most_informative
from dogvscat.learning.engine import ComputeSettings
from tests.helpers import Dogvscat, quick_base, read_table, run_until, signal_at

pytest.importorskip("ray", reason="needs the extra cluster")
pytestmark = [pytest.mark.ray, pytest.mark.slow]

_PATIENCE = 600  # seconds, for a machine that is busy with other work


BASE = quick_base("training.epochs=4", "training.early_stopping_patience=0")
STUDY = "seeds = [1, 2]\n" + BASE + '[settings]\n"training.learning_rate" = [0.01, 0.02]\n'
SPACE = BASE + '[space]\n"training.learning_rate" = { low = 1e-4, high = 1e-2, log = true }\n'

DEADLY = """
import os, sys
from functools import partial
from pathlib import Path
from dogvscat.cluster import ray_cluster
from dogvscat.errors import ClusterError
from dogvscat.exploring.execution.job import Job
from dogvscat.exploring.execution.ray import RayExecutor
with ray_cluster(sys.argv[1]), RayExecutor(print) as executor:
    executor.start(Job("the base, seed 1", Path(sys.argv[2]), 1, partial(os._exit, 1)))
    try:
        executor.wait()
    except ClusterError as error:
        print(error.message)
"""
"""A job that kills its worker, every time."""

TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
print(second.all_processes["raylet"][0].process.pid, flush=True)
for line in sys.stdin:
    cluster.add_node(num_cpus=1)
"""
"""Prints the address and the second node's process; a line on stdin puts another in its place."""


@dataclass
class TwoNodes:
    """A running cluster of two nodes with a core each."""

    process: subprocess.Popen[str]
    address: str
    second: int
    """Id of the second node's first process, whose children are its workers."""
    home: str

    def kill_second(self, trainings: Path) -> None:
        """SIGKILL to the second node and to an unfinished training on it; then a new node is added. Only once."""
        held = self._held(trainings, lambda worker: parent_of(worker) == self.second)
        for process in (self.second, held):
            os.kill(process, signal.SIGKILL)
        assert self.process.stdin is not None
        self.process.stdin.write("the next\n")
        self.process.stdin.flush()

    def kill_worker(self, trainings: Path) -> None:
        """SIGKILL to a process whose training is not finished."""
        os.kill(self._held(trainings, lambda worker: True), signal.SIGKILL)

    def _held(self, trainings: Path, wanted: Callable[[int], bool]) -> int:
        """A worker, stopped before it wrote its result: a small training may end while the worker is searched for."""
        held: list[int] = []

        def holds_one() -> bool:
            for worker, name in training_processes(self.home).items():
                with suppress(ProcessLookupError):
                    if wanted(worker):
                        os.kill(worker, signal.SIGSTOP)
                        eventually(lambda worker=worker: state_of(worker) in "TZ")  # type: ignore[misc]
                        if state_of(worker) == "T" and not (trainings / name / "cell.json").exists():
                            held.append(worker)
                            return True
                        os.kill(worker, signal.SIGCONT)
            return False

        eventually(holds_one)
        return held[0]


def training_processes(home: str) -> dict[int, str]:
    """Ids of the Ray workers with that DOGVSCAT_HOME that are training now, each with the name of its folder."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().rstrip(b"\0").decode("utf-8", "replace")
            if title.startswith("ray::dogvscat "):
                variables = (folder / "environ").read_bytes().split(b"\0")
                if f"DOGVSCAT_HOME={home}".encode() in variables:
                    found[int(folder.name)] = title.removeprefix("ray::dogvscat ").strip()
        except OSError:
            continue
    return found


def state_of(process: int) -> str:
    """`T` for stopped, as in proc(5); `Z` if the process is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def parent_of(process: int) -> int:
    """The id of a process's parent, 0 if the process is gone."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def eventually(condition: Callable[[], bool], seconds: float = _PATIENCE) -> None:
    """Wait until a condition holds."""
    deadline, turn = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        turn.wait(0.02)


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    if not Path("/proc").is_dir():
        pytest.skip("workers are found by /proc")
    quick = {"RAY_health_check_period_ms": "500", "RAY_health_check_initial_delay_ms": "500"}
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the latter: on loopback
    command = [sys.executable, "-c", TWO_NODES]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, **quick, **ray}, text=True, **pipes) as process:  # type: ignore[call-overload]
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"127\.0\.0\.1:[0-9]+", address)
        yield TwoNodes(process, address, int(process.stdout.readline()), os.environ["DOGVSCAT_HOME"])
        process.communicate(timeout=60)


def cells_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The result of each cell without the time it took, by the cell's name."""

    def timeless(values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key != "seconds"}

    found = {}
    for file in folder.glob("*/cell.json"):
        result = json.loads(file.read_text())
        found[file.parent.name] = timeless(result) | {"history": [timeless(row) for row in result["history"]]}
    return found


@pytest.fixture(scope="module")
def local_study(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> Path:
    """A study that a single process has finished. Do not change it: tests share it."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "study.toml").write_text(STUDY)
    done = dogvscat(
        "study", drawn_photos, "--config", folder / "study.toml", "--out", folder / "out", timeout=_PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_study_on_two_nodes_of_which_one_is_killed_is_that_of_one_machine(
    two_nodes: TwoNodes, local_study: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    flags = ["--config", str(local_study / "study.toml"), "--out", str(tmp_path), "--cluster", two_nodes.address]
    result = run_until(
        "training 3 of 6", lambda _: two_nodes.kill_second(tmp_path / "cells"), "study", drawn_photos, *flags
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "2 machines, 2 cores" in said
    assert "its worker died and was started again (2 of 3)" in said
    assert "(raylet)" not in said  # what Ray itself would print on stdout
    ours, theirs = read_table(tmp_path / "study.csv"), read_table(local_study / "out" / "study.csv")
    keys = [(row["setting"], row["value"], row["seed"], row["cell"]) for row in ours]
    assert keys == [(row["setting"], row["value"], row["seed"], row["cell"]) for row in theirs]
    assert len(set(keys)) == 6
    assert cells_of(tmp_path / "cells") == cells_of(local_study / "out" / "cells")  # bit by bit
    for cell in (tmp_path / "cells").iterdir():
        assert json.loads((cell / "environment.json").read_text())["threads"] == 1


def test_ctrl_c_keeps_finished_cells_and_one_machine_goes_on(
    local_study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    flags = ["--config", str(local_study / "study.toml"), "--out", str(tmp_path)]
    result = signal_at("  .*validation", signal.SIGINT, "study", drawn_photos, *flags, "--cluster", "local")
    said = result.stdout + result.stderr
    assert result.returncode == 130, said
    assert "Traceback" not in said
    assert "Run the same command again: finished trainings are kept" in said
    finished = {file: file.stat().st_mtime_ns for file in tmp_path.glob("cells/*/cell.json")}
    assert finished
    assert len(read_table(tmp_path / "study.csv")) == len(finished)
    eventually(lambda: not training_processes(os.environ["DOGVSCAT_HOME"]))
    done = dogvscat("study", drawn_photos, *flags, timeout=_PATIENCE)
    assert done.returncode == 0, done.stderr
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    assert cells_of(tmp_path / "cells") == cells_of(local_study / "out" / "cells")


def test_a_search_of_which_a_worker_is_killed_counts_no_trial_twice(
    two_nodes: TwoNodes, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    common = ["--config", str(tmp_path / "space.toml"), "--trials", "5", "--storage", url, "--sampler", "random"]
    flags = [*common, "--out", str(tmp_path / "out"), "--cluster", two_nodes.address, "--no-pruning"]
    result = run_until(
        "2 of 5 done", lambda _: two_nodes.kill_worker(tmp_path / "out" / "trials"), "tune", drawn_photos, *flags
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "its worker died and was started again (2 of 3)" in said
    study = optuna.load_study(study_name="dogvscat-classic", storage=url)
    trials = study.get_trials(deepcopy=False)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 5
    for trial in trials:
        assert sorted(trial.intermediate_values) == [1, 2, 3, 4]  # none of the epochs before the kill is missing
    rows = read_table(tmp_path / "out" / "trials.csv")
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4"]
    again = dogvscat("tune", drawn_photos, *common, "--no-pruning", "--out", tmp_path / "out")  # on one machine
    assert (again.returncode, "trial " in again.stderr) == (0, False), again.stderr


def test_trials_are_cut_short_through_the_same_journal_and_come_to_what_one_machine_finds(
    two_nodes: TwoNodes, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    flags = ["--config", tmp_path / "space.toml", "--trials", "9"]
    done = dogvscat(
        "tune", drawn_photos, *flags, "--out", tmp_path / "out", "--cluster", two_nodes.address, timeout=_PATIENCE
    )
    assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "out" / "trials.csv")
    assert {row["state"] for row in rows} == {"complete", "pruned"}
    assert {int(row["epochs"]) for row in rows if row["state"] == "pruned"} <= {1, 2, 3}
    assert len({row["trial"] for row in rows}) == len(rows) == 9
    best = dogvscat("train", drawn_photos, "--recipe", tmp_path / "out" / "best.toml", "--out", tmp_path / "run")
    assert best.returncode == 0, best.stderr
    last = read_table(tmp_path / "run" / "history.csv")[-1]
    assert float(last["val_accuracy"]) == max(
        float(row["validation_accuracy"]) for row in rows if row["state"] == "complete"
    )


@pytest.mark.parametrize(
    ("command", "cluster", "code", "message"),
    [
        ("study", "127.0.0.1:1", 1, "no cluster can be reached at 127.0.0.1:1: Connection refused"),
        ("tune", "127.0.0.1:1", 1, "no cluster can be reached"),
        ("predict", "127.0.0.1:1", 1, "no cluster can be reached"),
        ("study", "nowhere", 2, "expected --cluster as local or HOST:PORT, received 'nowhere'"),
        ("study", "{silent}", 1, "no cluster can be reached at {silent}: timed out"),
        ("study", "{http}", 1, "the server at {http} is not a Ray cluster"),
    ],
)
def test_a_cluster_that_is_not_there_is_named_at_once(
    command: str, cluster: str, code: int, message: str, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "tune.toml").write_text(SPACE)
    flags = [] if command == "predict" else ["--config", tmp_path / f"{command}.toml", "--out", tmp_path / "out"]
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as http:
        names = {key: f"127.0.0.1:{server.getsockname()[1]}" for key, server in (("silent", silent), ("http", http))}
        answering = threading.Thread(target=answer_in_http, args=(http,), daemon=True)
        answering.start()
        started = time.monotonic()
        done = dogvscat(command, drawn_photos, *flags, "--cluster", cluster.format(**names))
        assert time.monotonic() - started < 30
    assert (done.returncode, message.format(**names) in done.stderr) == (code, True), done.stderr
    assert "hint: " in done.stderr
    assert not (tmp_path / "out").exists()


def answer_in_http(server: socket.socket) -> None:
    """Answer once as a web server would, unless the server is closed before."""
    try:
        connection, _ = server.accept()
    except OSError:
        return
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_training_that_no_node_has_cores_for_is_refused(
    two_nodes: TwoNodes, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.replace('threads" = 1', 'threads" = 2'))
    flags = ("--config", tmp_path / "study.toml", "--out", tmp_path / "out", "--cluster", two_nodes.address)
    done = dogvscat("study", drawn_photos, *flags)
    assert done.returncode == 1
    assert "can run a training with 2 threads, the largest has 1 cores" in done.stderr
    assert '"training.threads"' in done.stderr


def test_a_training_that_always_kills_its_worker_is_given_up_by_name(two_nodes: TwoNodes, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DEADLY, two_nodes.address, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE)
    second, third, given_up = done.stdout.splitlines()
    assert second.startswith("the base, seed 1: its worker died and was started again (2 of 3). ")
    assert third.startswith("the base, seed 1: its worker died and was started again (3 of 3). ")
    assert given_up.startswith("the base, seed 1: its worker died 3 times. The last reason: ")


def test_without_a_cluster_ray_is_not_imported(local_study: Path, drawn_photos: Path) -> None:
    flags = ["--config", str(local_study / "study.toml"), "--out", str(local_study / "out")]
    code = "import sys; from dogvscat.cli.main import main; main(sys.argv[1:]); print('ray' in sys.modules)"
    command = [sys.executable, "-c", code, "study", str(drawn_photos), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "False"


def test_with_several_running_everything_is_started_once_before_anything_twice() -> None:
    plan = StudyPlan.model_validate(
        {"recipe": "classic", "seeds": (1, 2, 3), "settings": {"network.dropout": (0.0, 0.1)}}
    )
    cells = plan_cells(plan)
    under_way: list[PlannedCell] = []
    order = []
    while cells_to_start := most_informative(Study(cells, []), under_way):
        cell = cells_to_start[0]
        order.append((cell.treatment.value, cell.seed))
        under_way.append(cell)
    assert order[:3] == [("", 1), ("0.0", 1), ("0.1", 1)]
    assert order[3] == ("", 2)
    assert set(order) == {(cell.treatment.value, cell.seed) for cell in cells}
    assert len(order) == len(cells)


@dataclass
class FinishingTogether:
    """An executor whose trainings all end before the first is waited for; their results come from another folder."""

    finished: Path
    jobs: list[Job] = field(default_factory=list)
    distributed = True

    def slots(self, threads: int) -> int:
        return 2

    def start(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self) -> tuple[Job, Any]:
        for job in self.jobs:
            shutil.copytree(self.finished / job.folder.name, job.folder, dirs_exist_ok=True)
        job = self.jobs.pop(0)
        return job, job.work()


def test_cells_that_end_at_the_same_moment_are_counted_one_by_one(local_study: Path, tmp_path: Path) -> None:
    cells = plan_cells(load_plan(local_study / "study.toml"))
    said: list[str] = []
    timing = BaseTiming(cells[0].config, epoch_seconds=1.0, build_seconds=0.0, num_train=30, num_usable=30)
    executor = FinishingTogether(local_study / "out" / "cells")
    study, compute = Study(cells, []), ComputeSettings(threads=1)
    progress = _StudyInProgress(
        tmp_path, tmp_path, None, said.append, executor, study, timing, compute, time.monotonic()
    )
    while progress.start_next() or progress.running:
        while progress.start_next():
            pass
        progress.finish_next()
    assert [line[:15] for line in said if line.startswith("training")] == [f"training {n} of 6" for n in range(1, 7)]
    assert read_table(tmp_path / "study.csv") == read_table(local_study / "out" / "study.csv")


def test_what_is_under_way_makes_its_treatment_more_certain() -> None:
    plan = StudyPlan.model_validate(
        {"recipe": "classic", "seeds": (1, 2, 3, 4), "settings": {"network.dropout": (0.0, 0.1)}}
    )
    cells = plan_cells(plan)
    accuracies = {"": 0.8, "0.0": 0.812, "0.1": 0.81}
    finished = [
        FinishedCell(cell, CellResult(value, value, 1.0, 1, []))
        for cell in cells
        if cell.seed <= 2 or cell.treatment.setting == "base"
        for value in [accuracies[cell.treatment.value] + (0.005 * cell.seed if cell.treatment.value else 0.0)]
    ]
    study = Study(cells, finished)
    first = most_informative(study)[0]
    assert (first.treatment.value, first.seed) == ("0.1", 3)  # nearer to zero
    second = most_informative(study, [first])[0]
    assert (second.treatment.value, second.seed) == ("0.0", 3)  # with a third seed the other's interval narrows


PROTECTED = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
"""

JOINS = """
import sys
from dogvscat import cluster
from dogvscat.errors import ClusterError

def prepare_and_pretend(address):
    prepare(address)
    import ray  # not before: Ray reads its environment when it is imported
    ray.__version__ = sys.argv[2]
if len(sys.argv) > 2:
    prepare, cluster._prepare_environment = cluster._prepare_environment, prepare_and_pretend
try:
    with cluster.ray_cluster(sys.argv[1]) as machines:
        print(len(machines))
except ClusterError as error:
    print(error.message, error.hint)
"""
"""Joins a cluster, with a version of Ray that it does not have if one is named."""


@pytest.fixture(scope="module")
def protected_cluster() -> Iterator[str]:
    """The address of a cluster that asks for the token `right` 40 times."""
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "right" * 8, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-c", PROTECTED]
    with subprocess.Popen(
        command, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.mark.parametrize(
    ("token", "version", "expected"),
    [
        ("right" * 8, None, "1\n"),
        ("wrong" * 8, None, "does not accept the token of this machine Set RAY_AUTH_TOKEN"),
        (None, None, "asks for a token, and none is set here Set RAY_AUTH_TOKEN"),
        ("right" * 8, "2.1.0", "but this machine has Ray 2.1.0 on Python 3."),
    ],
)
def test_a_cluster_with_a_token_is_joined_or_refused_in_a_sentence(
    protected_cluster: str, tmp_path: Path, token: str | None, version: str | None, expected: str
) -> None:
    dropped = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"HOME": str(tmp_path)} | ({"RAY_AUTH_TOKEN": token} if token else {})
    command = [sys.executable, "-c", JOINS, protected_cluster, *([version] if version else [])]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    assert expected in result.stdout, result.stderr
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
