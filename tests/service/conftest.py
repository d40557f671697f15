"""Real servers in processes of their own, spoken to over loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from dogvscat.photos.drawing import draw

Colour = tuple[int, int, int]


class Server:
    """A running `dogvscat serve`."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._log = folder / "stderr"
        with self._log.open("wb") as log:
            # Later options win; a busy machine may take longer than people are made to wait.
            command = [sys.executable, "-m", "dogvscat", "serve", "--port", "0", "--deadline", "60"]
            command += map(str, arguments)
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        assert self.url, self._log.read_text()
        self.client = httpx.Client(base_url=self.url, timeout=60.0)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def predict(self, *pictures: bytes, **query: Any) -> httpx.Response:
        """One picture as the body, several as a form."""
        if len(pictures) == 1:
            return self.client.post("/api/v1/predict", content=pictures[0], params=query)
        files = [("files", (f"{number}.jpg", data)) for number, data in enumerate(pictures)]
        return self.client.post("/api/v1/predict", files=files, params=query)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by name and labels as written."""
        lines = self.client.get("/metrics").text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def log(self) -> list[dict[str, Any]]:
        """The lines of JSON on stderr."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def stderr(self) -> str:
        return self._log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


ServeFixture = Callable[..., Server]


@contextmanager
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeFixture]:
    running: list[Server] = []

    def start(*arguments: object) -> Server:
        running.append(Server(tmp_path_factory.mktemp("server"), *arguments))
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.stop(signal.SIGKILL)


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeFixture]:
    """Starts a server with these arguments, on a port of its own; it ends with the test."""
    with _servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeFixture]:
    """As `serve`, for servers that the tests of a file share."""
    with _servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def linear(tmp_path_factory: pytest.TempPathFactory, untouched_bundle: Path) -> Iterator[Server]:
    """A server whose answers one works out by hand; bodies may have a megabyte."""
    with _servers(tmp_path_factory) as start:
        yield start("--model", untouched_bundle, "--max-megabytes", 1)


@pytest.fixture(scope="session")
def best(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the bundle that ships."""
    with _servers(tmp_path_factory) as start:
        yield start()


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def plain() -> Callable[[Colour], bytes]:
    """A PNG of one colour."""
    return lambda colour: encoded(Image.new("RGB", (40, 30), colour))


@pytest.fixture(scope="session")
def drawn() -> list[bytes]:
    """Four drawn animals as JPEG."""
    return [encoded(draw(kind, seed, 240), "JPEG") for kind in ("cat", "dog") for seed in (1, 2)]


@pytest.fixture(scope="session")
def photographs(test_data: Path) -> list[Path]:
    """Twenty photographs, ten a class."""
    return [path for kind in ("cat", "dog") for path in sorted((test_data / "photos" / kind).iterdir())[:10]]


@pytest.fixture(scope="session")
def cores() -> int:
    return os.cpu_count() or 1
