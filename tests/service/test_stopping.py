"""Stopping and starting: what was accepted is answered, several workers are one service, and errors are plain."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

Serve = Callable[..., Any]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def ask_until_stopped(url: str, picture: bytes, stopped: Event, counts: Counter[str]) -> None:
    """Each request on a connection of its own: whoever is let in must be answered."""
    while not stopped.is_set():
        try:
            response = httpx.post(f"{url}/api/v1/predict", content=picture, timeout=60.0)
        except httpx.ConnectError:
            counts["refused"] += 1
            return
        except httpx.TransportError as error:  # it reached the system's queue, and nobody took it out any more
            counts[f"unheard after {stopped.is_set()} {type(error).__name__}"] += 1
            return
        counts[str(response.status_code)] += 1
        if response.status_code == 503:
            assert response.json()["code"] == "stopping"
            assert response.headers["retry-after"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_under_load_answers_what_was_accepted(serve: Serve, drawn: list[bytes], workers: int) -> None:
    server = serve("--workers", workers)
    stopped, counts = Event(), Counter[str]()
    with ThreadPoolExecutor(12) as pool:
        for number in range(12):
            pool.submit(ask_until_stopped, server.url, drawn[number % 4], stopped, counts)
        assert wait_for(lambda: counts["200"] > 30)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)  # a second one changes nothing
        started = time.monotonic()
        code = server.process.wait(60)
        seconds = time.monotonic() - started
        stopped.set()
    assert code == 0
    assert seconds < 30
    logged = Counter(line["status"] for line in server.log() if line.get("path") == "/api/v1/predict")
    assert set(logged) <= {200, 503}
    assert logged[200] == counts["200"]  # no answer was lost on its way
    assert logged[503] == counts["503"]
    assert "Traceback" not in server.stderr()


def test_readiness_ends_at_once_and_what_is_inside_is_finished(serve: Serve, drawn: list[bytes]) -> None:
    server = serve()
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=server.url) as other:
        assert other.get("/v2/health/ready").json()["ready"] is True
        inside = pool.submit(server.predict, *drawn * 8)  # 32 pictures
        assert wait_for(lambda: server.metrics()["in_progress"] >= 2)
        server.process.send_signal(signal.SIGTERM)
        assert wait_for(lambda: other.get("/v2/health/ready").status_code == 503)
        assert other.get("/v2/health/live").status_code == 200
        refused = other.post("/api/v1/predict", content=drawn[0])
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert len(inside.result().json()["predictions"]) == 32
    assert server.process.wait(30) == 0


def test_what_cannot_be_finished_in_time_is_told_so(serve: Serve, drawn: list[bytes]) -> None:
    """A second Ctrl-C does not wait, as does the end of the time for stopping."""
    server = serve()
    with ThreadPoolExecutor(1) as pool:
        inside = pool.submit(server.predict, *drawn * 16, explain="true")  # 64 heat-maps, one after the other
        assert wait_for(lambda: server.metrics()["in_progress"] >= 2)
        for _ in range(2):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.2)  # signals of one kind that come together are one signal
        response = inside.result()
    assert (response.status_code, response.json()["code"]) == (503, "stopping")
    assert response.headers["retry-after"]
    assert server.process.wait(30) == 130
    assert "Traceback" not in server.stderr()


def test_ctrl_c_stops_it_as_it_stops_every_command(serve: Serve, untouched_bundle: Path) -> None:
    server = serve("--model", untouched_bundle)
    assert server.stop(signal.SIGINT) == 130
    assert server.stderr().endswith("\nstopped\n")
    assert "Traceback" not in server.stderr()


def children(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(server) -> list[int]:
    """The processes that answer: those that hold the network's threads."""
    return [pid for pid in children(server.process.pid) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc, which only Linux has")
def test_workers_are_one_service(serve: Serve, untouched_bundle: Path, plain: Callable[..., bytes]) -> None:
    server = serve("--model", untouched_bundle, "--workers", 2)
    first = workers_of(server)
    assert len(first) == 2

    def ask(_number: int) -> int:
        return httpx.post(f"{server.url}/api/v1/predict", content=plain((255, 0, 0)), timeout=60.0).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {200}
    assert server.metrics()['prediction_total{label="dog"}'] == 40  # whichever of them is asked
    os.kill(first[0], signal.SIGKILL)
    assert wait_for(lambda: len(set(workers_of(server)) - set(first)) == 1)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(10))) == {200}
    assert server.metrics()['prediction_total{label="dog"}'] == 50
    assert wait_for(lambda: "a worker ended with -9; another takes its place" in server.stderr())
    both = workers_of(server)
    server.process.kill()  # nobody is left to stop them
    assert wait_for(lambda: not [pid for pid in both if running(pid)])


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_address_is_the_only_thing_on_stdout(serve: Serve, untouched_bundle: Path) -> None:
    server = serve("--model", untouched_bundle)
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.port != 0
    server.process.send_signal(signal.SIGTERM)
    assert server.process.stdout.read() == b""


def test_the_log_is_json_and_tells_nothing_of_the_pictures(linear, plain: Callable[..., bytes]) -> None:
    linear.predict(plain((1, 2, 3)), name="secret.jpg")
    assert wait_for(lambda: linear.log()[-1].get("path") == "/api/v1/predict")
    line = linear.log()[-1]
    assert set(line) == {"time", "method", "path", "status", "seconds", "bytes"}
    assert (line["method"], line["status"], line["bytes"]) == ("POST", 200, len(plain((1, 2, 3))))
    assert "secret" not in linear.stderr()


def start_and_fail(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dogvscat", "serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bundle_that_cannot_be_used_ends_it(bundle: Path, change_card: Callable[..., None], workers: int) -> None:
    change_card(lambda card: card["golden"][0].update(probability=0.123))
    done = start_and_fail("--model", bundle, "--port", 0, "--workers", workers)
    assert done.returncode == 4
    assert "should come out as 0.1230" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_address_that_is_taken(untouched_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start_and_fail("--model", untouched_bundle, "--port", port)
    assert done.returncode == 2
    assert f"cannot listen at 127.0.0.1 port {port}: Address already in use" in done.stderr
    assert "Choose another --port" in done.stderr
    assert start_and_fail("--host", "no such host").returncode == 2
