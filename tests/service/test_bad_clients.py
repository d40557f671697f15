"""Clients that are slow, endless or untruthful are cut or refused, while all others are answered."""

import asyncio
import http.client
import re
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.helpers import plain_png

pytestmark = pytest.mark.slow

MEGABYTE = 1024 * 1024
HEAD = "POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\n"


async def received_until_the_end(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is closed, or reset because a byte crossed the cut."""
    received = b""
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            received += part
    return received


def test_slow_clients_are_cut_and_delay_nobody(linear) -> None:
    """Forty headers and forty bodies at a byte in 0.7 s, so that none meets the deadline, and ten who say nothing."""
    cut: list[tuple[str, float, bytes]] = []

    async def crawl(kind: str, start: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", linear.port)
        started = time.perf_counter()
        writer.write(start.encode())
        answer = asyncio.create_task(received_until_the_end(reader))
        while not answer.done() and kind != "silent":
            with suppress(ConnectionError):
                writer.write(b"x")
                await writer.drain()
            await asyncio.wait([answer], timeout=0.7)
        received = await asyncio.wait_for(answer, 30)
        cut.append((kind, time.perf_counter() - started, received))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def everybody() -> None:
        headers = [crawl("header", HEAD + "X-Slow: ") for _ in range(40)]
        bodies = [crawl("body", HEAD + "Content-Length: 5000\r\n\r\n") for _ in range(40)]
        await asyncio.gather(*headers, *bodies, *(crawl("silent", "") for _ in range(10)))

    crowd = threading.Thread(target=asyncio.run, args=(everybody(),))
    crowd.start()
    healthy = 0
    while crowd.is_alive():
        assert linear.predict(plain_png((255, 0, 0))).json()["predictions"][0]["label"] == "dog"
        healthy += 1
    crowd.join()
    assert healthy > 20
    assert len(cut) == 90
    assert all(9.0 < seconds < 16.0 for _, seconds, _ in cut)
    for kind, _, answer in cut:
        assert answer.startswith(b"HTTP/1.1 408 ") if kind == "body" else answer == b""
        if b"\r\n\r\n" in answer:
            assert re.search(rb"too slowly: \d+ bytes in 1\d seconds", answer)


def answer_to(port: int, *parts: bytes, endless: bytes = b"") -> tuple[bytes, int]:
    """What comes back for bytes as they are, and how many of the endless ones were sent until then."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with suppress(ConnectionError):  # closed before all was sent: what came until then counts
            for part in parts:
                connection.sendall(part)
        if endless:
            connection.settimeout(0.0)
            while sent < 200 * MEGABYTE:
                readable, writable, _ = select.select([connection], [connection], [], 30)
                if readable:
                    break
                assert writable, "the server neither answers nor reads"
                sent += connection.send(endless)
            connection.settimeout(30)
        received = b""
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
    return received, sent


def refused_bytes(server, num_refused: int) -> int:
    """Bytes of the body of the last of so many requests that were refused as too large, as the access log has it."""
    assert server.wait_for_log(lambda log: len(with_status(log, 413)) > num_refused)
    return with_status(server.log(), 413)[-1]["bytes"]


def with_status(log: list[dict[str, Any]], status: int) -> list[dict[str, Any]]:
    return [line for line in log if line.get("status") == status]


def test_endless_bodies_are_refused_at_the_limit(linear) -> None:
    num_refused = len(with_status(linear.log(), 413))
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    answer, sent = answer_to(linear.port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), endless=chunk)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert sent < 100 * MEGABYTE
    assert MEGABYTE < refused_bytes(linear, num_refused) <= MEGABYTE + 64 * 1024


def test_bodies_that_declare_too_much_are_refused_unread(linear) -> None:
    num_refused = len(with_status(linear.log(), 413))
    answer, _ = answer_to(linear.port, f"{HEAD}Content-Length: {10**10}\r\n\r\n".encode(), endless=bytes(65536))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"has 10,000,000,000 bytes, at most 1,048,576 are read" in answer
    assert refused_bytes(linear, num_refused) == 0


def test_asking_before_sending_too_much_is_answered_at_once(linear) -> None:
    started = time.perf_counter()
    answer, _ = answer_to(linear.port, f"{HEAD}Content-Length: {10**10}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.perf_counter() - started < 5.0


def test_asking_before_sending_gets_100_continue(linear) -> None:
    picture = plain_png((255, 0, 0))
    head = f"{HEAD}Content-Length: {len(picture)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    answer, _ = answer_to(linear.port, head.encode(), picture)
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b'"label":"dog"' in answer


def test_lengths_that_lie(linear) -> None:
    picture = plain_png((255, 0, 0))
    gone = 'dogvscat_requests_total{code="499",outcome="refused"}'
    num_gone = linear.metrics().get(gone, 0.0)
    short_body = picture + bytes(4321)  # of a length that no other request has
    with socket.create_connection(("127.0.0.1", linear.port)) as connection:  # less comes than was declared
        connection.sendall(f"{HEAD}Content-Length: {len(short_body) + 100}\r\n\r\n".encode() + short_body)
    assert linear.wait_for_log(lambda log: [line for line in with_status(log, 499) if line["bytes"] == len(short_body)])
    assert linear.metrics()[gone] >= num_gone + 1
    answer, _ = answer_to(
        linear.port, f"{HEAD}Content-Length: 10\r\n\r\n".encode() + picture
    )  # more comes than was declared
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"HTTP/1.1 400 " in answer  # the rest is not a request
    for head in ("Content-Length: -1", "Content-Length: ten", "Content-Length: 1\r\nContent-Length: 2"):
        assert answer_to(linear.port, f"{HEAD}{head}\r\n\r\n".encode())[0].startswith(b"HTTP/1.1 400 ")


def test_what_is_not_http(linear) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTPS\r\n\r\n", b"X" * 200_000, b"GET /\0 HTTP/1.1\r\n\r\n"):
        answer, _ = answer_to(linear.port, junk, b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ") or not answer
    assert linear.client.get("/v2/health/ready").status_code == 200


def test_nonsense_after_an_answer_has_started(linear) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    with socket.create_connection(("127.0.0.1", linear.port)) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"no length of a chunk\r\n" * 10)
        with suppress(ConnectionError):
            while connection.recv(65536):
                pass
    assert linear.client.get("/v2/health/ready").status_code == 200
    assert "Traceback" not in linear.stderr()


def test_an_unexpected_body_is_not_read_for_ever(linear) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, sent = answer_to(linear.port, head, endless=b"8000\r\n" + bytes(0x8000) + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close" in answer
    assert sent < 100 * MEGABYTE


def test_an_early_answer_reaches_a_client_that_still_writes(linear) -> None:
    with httpx.Client(base_url=linear.url) as client:
        for size in (MEGABYTE + 1, 3 * MEGABYTE):
            assert client.post("/api/v1/predict", content=bytes(size)).status_code == 413
        assert client.post("/nothing", content=bytes(MEGABYTE // 2)).status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/predict", "/nothing"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_early_answer_reaches_a_client_that_first_sends_all(linear, path: str, chunked: bool) -> None:
    """As most clients do: they read nothing before the whole body is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", linear.port, timeout=60)
    body = iter([bytes(MEGABYTE)] * 60) if chunked else bytes(60 * MEGABYTE)
    connection.request("POST", path, body=body, encode_chunked=chunked, headers={"X-Kind": "large"})
    response = connection.getresponse()
    assert response.status == (404 if path == "/nothing" else 413)
    assert b"detail" in response.read()
    connection.close()
