"""Stopping and starting: accepted requests are answered, several workers are one service, and errors are plain."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import httpx
import pytest

from dogvscat.errors import UsageError
from dogvscat.service.sockets import bind
from tests.helpers import ChangeCard, HoldRequest, Serve, plain_png, shift_golden

pytestmark = pytest.mark.slow


def form(photos: list[bytes]) -> dict[str, Any]:
    """Body and Content-Type of a form."""
    request = httpx.Request("POST", "http://x/", files=[("files", (str(n), photo)) for n, photo in enumerate(photos)])
    return {"body": request.read(), "kind": request.headers["content-type"]}


def ask_until_not_ready(client: httpx.Client) -> bool:
    """Ask for readiness, one request after the other, until the server has noticed the signal to stop."""
    deadline = time.monotonic() + 30
    while client.get("/v2/health/ready").status_code == 200:
        if time.monotonic() > deadline:
            return False
    return True


def ask_until_replaced(server) -> None:
    """Ask for the metrics until a new worker has counted that it replaces one."""
    deadline = time.monotonic() + 60
    while server.metrics()["dogvscat_replaced_workers_total"] != 1:
        assert time.monotonic() < deadline


def ask_until_stopped(url: str, photo: bytes, stopped: Event, counts: Counter[str], answered: Semaphore) -> None:
    """Each request on a connection of its own: every request that is let in must be answered."""
    while not stopped.is_set():
        try:
            response = httpx.post(f"{url}/api/v1/predict", content=photo, timeout=60.0)
        except httpx.ConnectError:
            counts["refused"] += 1
            return
        except httpx.TransportError as error:  # it reached the system's queue, and nobody took it out any more
            counts[f"unheard after {stopped.is_set()} {type(error).__name__}"] += 1
            return
        counts[str(response.status_code)] += 1
        if response.status_code == 200:
            answered.release()
        if response.status_code == 503:
            assert response.json()["code"] == "stopping"
            assert response.headers["retry-after"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_under_load_answers_what_was_accepted(serve: Serve, drawn: list[bytes], workers: int) -> None:
    server = serve("--workers", workers)
    stopped, counts, answered = Event(), Counter[str](), Semaphore(0)
    with ThreadPoolExecutor(12) as pool:
        asked = [
            pool.submit(ask_until_stopped, server.url, drawn[number % 4], stopped, counts, answered)
            for number in range(12)
        ]
        assert all(answered.acquire(timeout=60) for _ in range(31))
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)  # a second one changes nothing
        started = time.monotonic()
        code = server.wait()
        seconds = time.monotonic() - started
        stopped.set()
    assert [future.result() for future in asked] == [None] * 12
    assert code == 0
    assert seconds < 30
    logged = Counter(line["status"] for line in server.log() if line.get("path") == "/api/v1/predict")
    assert set(logged) <= {200, 503}
    assert logged[200] == counts["200"]  # no answer was lost on its way
    assert logged[503] == counts["503"]
    assert "Traceback" not in server.stderr()


def test_readiness_ends_at_once_and_accepted_requests_are_finished(
    serve: Serve, hold_request: HoldRequest, drawn: list[bytes]
) -> None:
    """One request is being computed at the signal to stop; another was admitted, and its body comes later."""
    server = serve()
    with httpx.Client(base_url=server.url) as other:
        assert other.get("/v2/health/ready").json()["ready"] is True
        computing = hold_request(server, **form(drawn * 8))  # 32 photos
        held = hold_request(server, drawn[0])
        computing.send_body()
        server.process.send_signal(signal.SIGTERM)
        assert ask_until_not_ready(other)
        assert other.get("/v2/health/ready").status_code == 503
        assert other.get("/v2/health/live").status_code == 200
        refused = other.post("/api/v1/predict", content=drawn[0])
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
    held.send_body()
    assert len(held.response().json()["predictions"]) == 1
    assert len(computing.response().json()["predictions"]) == 32
    assert server.wait() == 0


def test_what_cannot_be_finished_in_time_gets_503(serve: Serve, hold_request: HoldRequest, drawn: list[bytes]) -> None:
    """A second Ctrl-C does not wait, as does the end of the time for stopping."""
    server = serve()
    request = hold_request(server, target="/api/v1/predict?explain=true", **form(drawn * 16))  # 64 heat maps in a row
    request.send_body()
    with httpx.Client(base_url=server.url) as other:
        server.process.send_signal(signal.SIGINT)
        assert ask_until_not_ready(other)  # signals of one kind that come together are one signal
        server.process.send_signal(signal.SIGINT)
    response = request.response()
    assert (response.status_code, response.json()["code"]) == (503, "stopping")
    assert response.headers["retry-after"]
    assert server.wait() == 130
    assert "Traceback" not in server.stderr()


def test_ctrl_c_stops_it_as_it_stops_every_command(serve: Serve, untouched_bundle: Path) -> None:
    server = serve("--model", untouched_bundle)
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.port != 0
    server.process.send_signal(signal.SIGINT)
    assert server.process.stdout.read() == b""  # nothing but the address, to the end
    assert server.wait() == 130
    assert server.stderr().endswith("\nstopped\n")
    assert "Traceback" not in server.stderr()


def children(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(server) -> list[int]:
    """The processes that answer: those that hold the network's threads."""
    return [pid for pid in children(server.process.pid) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc, which only Linux has")
def test_workers_are_one_service(serve: Serve, untouched_bundle: Path) -> None:
    server = serve("--model", untouched_bundle, "--workers", 2)
    first = workers_of(server)
    assert len(first) == 2

    def ask(_number: int) -> int:
        return httpx.post(f"{server.url}/api/v1/predict", content=plain_png((255, 0, 0)), timeout=60.0).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {200}
    assert server.metrics()['dogvscat_prediction_total{label="dog"}'] == 40  # whichever of them is asked
    os.kill(first[0], signal.SIGKILL)
    message = "a worker ended with -9; a new one has replaced it"
    assert server.wait_for_log(lambda log: message in [line.get("message") for line in log])
    both = workers_of(server)
    assert len(both) == 2
    assert len(set(both) - set(first)) == 1
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(10))) == {200}
    assert server.metrics()['dogvscat_prediction_total{label="dog"}'] == 50
    ask_until_replaced(server)
    with ExitStack() as stack:
        descriptors = [os.pidfd_open(pid) for pid in both]
        for descriptor in descriptors:
            stack.callback(os.close, descriptor)
        server.process.kill()  # nobody is left to stop them
        for descriptor in descriptors:  # a pidfd becomes readable when its process ends
            assert select.select([descriptor], [], [], 60)[0]


def test_the_log_is_json_and_contains_nothing_of_the_photos(linear) -> None:
    num_bytes = len(plain_png((1, 2, 3)))
    linear.predict(plain_png((1, 2, 3)), name="secret.jpg")
    assert linear.wait_for_log(lambda log: [line for line in log[-1:] if line.get("bytes") == num_bytes])
    line = linear.log()[-1]
    assert set(line) == {"time", "method", "path", "status", "seconds", "bytes"}
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/v1/predict", 200)
    assert "secret" not in linear.stderr()


def start_and_fail(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dogvscat", "serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bundle_that_cannot_be_used_ends_it(bundle: Path, change_card: ChangeCard, workers: int) -> None:
    change_card(lambda card: shift_golden(card, 0, 0.01))
    process = start_and_fail("--model", bundle, "--port", 0, "--workers", workers)
    assert process.returncode == 4
    assert "1.png should have the answer" in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


def test_an_address_that_is_taken(untouched_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start_and_fail("--model", untouched_bundle, "--port", port)
    assert process.returncode == 2
    assert f"cannot listen at 127.0.0.1 port {port}: Address already in use" in process.stderr
    assert "Choose another --port" in process.stderr
    with pytest.raises(UsageError, match="cannot listen at no such host port 0: "):
        bind("no such host", 0)
