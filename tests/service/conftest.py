"""Real servers in processes of their own, spoken to over loopback."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dogvscat.photos.drawing.sample import draw
from tests.helpers import HoldRequest, Serve, encoded


class Server:
    """A running `dogvscat serve`. A thread reads its stderr, so that tests can wait for a line instead of sleeping."""

    def __init__(self, *arguments: object, program: Sequence[str] = ("-m", "dogvscat", "serve")) -> None:
        # Later options win; a busy machine may take longer than people are made to wait.
        command = [sys.executable, *program, "--port", "0", "--deadline", "60", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._lines: list[str] = []
        self._line_added = threading.Condition()
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        assert self.url, self.stderr()
        self.client = httpx.Client(base_url=self.url, timeout=60.0)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                with self._line_added:
                    self._lines.append(line.decode())
                    self._line_added.notify_all()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def predict(self, *photos: bytes, **query: Any) -> httpx.Response:
        """One photo as the body, several as a form."""
        if len(photos) == 1:
            return self.client.post("/api/v1/predict", content=photos[0], params=query)
        files = [("files", (f"{number}.jpg", data)) for number, data in enumerate(photos)]
        return self.client.post("/api/v1/predict", files=files, params=query)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by name and labels as written."""
        lines = self.client.get("/metrics").text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def log(self) -> list[dict[str, Any]]:
        """The lines of JSON on stderr so far; all of them after `wait`."""
        with self._line_added:
            return [json.loads(line) for line in self._lines if line.startswith("{")]

    def wait_for_log(self, condition: Callable[[list[dict[str, Any]]], Any], seconds: float = 60.0) -> bool:
        """Whether the log fulfils a condition, now or after one of the lines that arrive in the next seconds."""
        with self._line_added:
            return self._line_added.wait_for(lambda: bool(condition(self.log())), seconds)

    def stderr(self) -> str:
        """Everything on stderr so far; all of it after `wait`."""
        if self.process.poll() is not None:
            self._reader.join(60)
        with self._line_added:
            return "".join(self._lines)

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code, once it has ended and its last line is read."""
        code = self.process.wait(seconds)
        self._reader.join(60)  # its workers, if it has any, end with it
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class HeldRequest:
    """A request that the server has admitted, but whose body is not sent yet: 100 Continue is its word for that."""

    def __init__(self, server: Server, body: bytes, target: str = "/api/v1/predict", kind: str = "image/jpeg") -> None:
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        self._body = body
        self._connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._connection.sendall(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += self._connection.recv(1)
        assert received.startswith(b"HTTP/1.1 100 ")

    def send_body(self) -> None:
        self._connection.sendall(self._body)

    def response(self) -> httpx.Response:
        """The answer, once it is complete."""
        received = b""
        with self._connection as connection:
            while chunk := connection.recv(65536):
                received += chunk
        head, _, content = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        return httpx.Response(int(status.split()[1]), headers=headers, content=content)  # type: ignore[arg-type]


@contextmanager
def _servers() -> Iterator[Serve]:
    running: list[Server] = []

    def start(*arguments: object, **options: Any) -> Server:
        running.append(Server(*arguments, **options))
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.stop(signal.SIGKILL)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with these arguments, on a port of its own; it ends with the test."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module() -> Iterator[Serve]:
    """As `serve`, for servers that the tests of a file share."""
    with _servers() as start:
        yield start


@pytest.fixture
def hold_request() -> HoldRequest:
    """Sends the head of a request to a server and waits until it is admitted."""
    return HeldRequest


@pytest.fixture(scope="session")
def linear(untouched_bundle: Path) -> Iterator[Server]:
    """A server whose answers one works out by hand; bodies may have a megabyte."""
    with _servers() as start:
        yield start("--model", untouched_bundle, "--max-megabytes", 1)


@pytest.fixture(scope="session")
def best() -> Iterator[Server]:
    """A server with the bundled model."""
    with _servers() as start:
        yield start()


@pytest.fixture(scope="session")
def drawn() -> list[bytes]:
    """Four drawn animals as JPEG."""
    return [encoded(draw(kind, seed, 240), "JPEG") for kind in ("cat", "dog") for seed in (1, 2)]


@pytest.fixture(scope="session")
def photographs(test_data: Path) -> list[Path]:
    """Twenty photographs, ten of each class."""
    return [path for kind in ("cat", "dog") for path in sorted((test_data / "photos" / kind).iterdir())[:10]]
