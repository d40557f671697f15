"""`dogvscat train --watch` and `--log tensorboard`: the training stays the same, and the page lasts until its end."""

import json
import re
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.helpers import QUICK, Dogvscat, read_files, read_table, run_until

pytestmark = pytest.mark.slow


class Visitor:
    """Opens the page that a command names, and keeps every state that it sends."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self._thread: threading.Thread | None = None

    def open(self, url: str) -> None:
        stream = urlopen(f"{url}/events", timeout=60)
        self._thread = threading.Thread(target=self._read, args=[stream])
        self._thread.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                if line.startswith(b"data: "):
                    self.states.append(json.loads(line.removeprefix(b"data: ")))

    def wait(self) -> None:
        assert self._thread
        self._thread.join(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_watched_training_has_the_same_bits(quick_run: Path, drawn_photos: Path, tmp_path: Path) -> None:
    visitor, out, port = Visitor(), tmp_path / "run", free_port()

    def open_page(_: subprocess.Popen[str]) -> None:
        visitor.open(f"http://127.0.0.1:{port}")

    options = ("--watch", "--port", port, "--log", "tensorboard")
    result = run_until("Watch the training at", open_page, "train", drawn_photos, "--out", out, *QUICK, *options)
    visitor.wait()
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith(f"Watch the training at http://127.0.0.1:{port}\n")
    assert read_files(quick_run / "bundle")["model.onnx"] == read_files(out / "bundle")["model.onnx"]
    same = ("predictions.csv", "metrics.json", "manifest.csv", "config.toml", "bundle/weights.npz")
    assert [name for name in same if (out / name).read_bytes() != (quick_run / name).read_bytes()] == []
    histories = [read_table(run / "history.csv") for run in (quick_run, out)]
    without_times = [[{**row, "seconds": ""} for row in history] for history in histories]
    assert without_times[0] == without_times[1]
    phases = list(dict.fromkeys(state["phase"] for state in visitor.states))
    assert phases[0] == "preparing"
    assert phases[-1] == "finished"
    last = visitor.states[-1]
    assert last["report"] == str((out / "report.html").resolve())
    assert Path(last["report"]).is_file()
    assert [{name: float(value) for name, value in row.items()} for row in histories[1]] == last["history"]
    wrong = [row for row in read_table(out / "predictions.csv") if row["split"] == "validation"]
    assert last["mistakes"]["total"] == len(wrong)
    assert {path.name for path in (out / "tensorboard").iterdir()} == {"train", "validation"}


def test_a_taken_port_is_one_sentence_before_any_work(dogvscat: Dogvscat, drawn_photos: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = dogvscat("train", drawn_photos, "--out", tmp_path / "run", "--watch", "--port", port)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: cannot listen at 127.0.0.1 port {port}: Address already in use\n"
        "hint: Choose another --port, or 0 for any that is free.\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_port_without_a_page_is_refused(dogvscat: Dogvscat, drawn_photos: Path, tmp_path: Path) -> None:
    result = dogvscat("train", drawn_photos, "--out", tmp_path / "run", "--port", 8001)
    assert result.returncode == 2
    assert re.match("error: --port is the port of the page of --watch\nhint: Add --watch", result.stderr)


def test_a_finished_run_can_be_logged_and_watched_afterwards(
    quick_run: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    from shutil import copytree

    run = Path(copytree(quick_run, tmp_path / "run"))
    result = dogvscat("train", "--resume", run, "--watch", "--port", 0, "--log", "tensorboard")
    assert result.returncode == 0, result.stderr
    assert all(list((run / "tensorboard" / name).iterdir()) for name in ("train", "validation"))
