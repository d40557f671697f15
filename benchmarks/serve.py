"""How much load does the service take? Load over loopback, an overload and a soak test, printed as Markdown tables.

    python benchmarks/serve.py                                  # 1, 8 and 64 clients, then ten times its highest rate
    python benchmarks/serve.py --photos PHOTOS --workers 2
    python benchmarks/serve.py --soak 50000                     # that many requests, one in ten with a bad file

Server and clients share the machine, so the clients' own work lowers the figures. Each client is one connection that
sends its next request as soon as it is answered. The overload sends at a fixed rate, independent of the answers.
"""

import argparse
import asyncio
import itertools
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image

from dogvscat.photos.drawing.sample import KINDS, draw

SIZE = (500, 375)
"""Width and height of the synthetic photos, in pixels."""
MAX_CONNECTIONS = 500
"""Of the overload."""
TIMEOUT = 30.0
"""Seconds that a client waits for an answer."""


@dataclass
class Tally:
    """Response times by HTTP status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    broken: int = 0
    """Requests whose connection ended without an answer."""
    without_retry_after: int = 0
    """Refusals that lacked the header Retry-After."""

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)

    @property
    def num_answers(self) -> int:
        return sum(map(len, self.seconds.values()))


class Client:
    """One connection, opened again when the server closes it. Handles only bytes, to leave the CPU to the server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.body = b""
        """Of the last answer."""
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes, tally: Tally) -> int:
        """Send a request, record its status and time in the tally, and return the status (0 without an answer)."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT):
                status, head = await self._exchange(request)
        except (OSError, EOFError, TimeoutError, ValueError):
            tally.broken += 1
            await self.close()
            return 0
        tally.add(status, time.perf_counter() - started)
        tally.without_retry_after += status in (429, 503) and b"retry-after" not in head
        if b"connection: close" in head:
            await self.close()
        return status

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        # Status line and headers, then as many bytes of body as the header announces.
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        self.body = await self.reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
        return int(head.split(b" ", 2)[1]), head

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self.writer is not None:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
            self.writer = None


def request_of(body: bytes, kind: str = "image/jpeg") -> bytes:
    """An HTTP request that sends this body to /api/v1/predict."""
    lines = [
        "POST /api/v1/predict HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def good_requests(photos: Path | None) -> list[bytes]:
    """Requests with a hundred photos, or with synthetic photos of about the same size."""
    if photos is not None:
        files = [path for path in sorted(photos.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
        return [request_of(path.read_bytes()) for path in files[:: max(1, len(files) // 100)][:100]]
    requests = []
    for seed, kind in itertools.product(range(20), KINDS):
        buffer = BytesIO()
        draw(kind, seed, SIZE[0]).resize(SIZE).save(buffer, "JPEG", quality=90)
        requests.append(request_of(buffer.getvalue()))
    return requests


def bad_requests(good: bytes) -> list[bytes]:
    """Requests with damaged, wrong, huge and malformed bodies."""
    photo = good.partition(b"\r\n\r\n")[2]
    bomb = BytesIO()  # 81 megapixels in a few kB
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    form = 'multipart/form-data; boundary="edge"'
    part = b'--edge\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    return [
        request_of(photo[: len(photo) // 2]),
        request_of(photo[:1000] + bytes(2000) + photo[3000:]),
        request_of(b""),
        request_of(b"no picture" * 1000),
        request_of(bomb.getvalue()),
        request_of(part + photo, form),
        request_of(part + photo[:500] + b"\r\n--edge--\r\n", form),
        request_of(b"<svg/>", "image/svg+xml"),
    ]


@contextmanager
def server(arguments: list[str], log: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[tuple[int, int]]:
    """Start a server in its own process; yields its port and process id."""
    command = [sys.executable, "-m", "dogvscat", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        address = (process.stdout or sys.stdin).readline().strip()  # printed once it accepts connections
        if not address:
            raise SystemExit("the server did not start; try: python -m dogvscat serve")
        try:
            yield int(address.rpartition(":")[2]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            if code := process.wait(60):
                print(f"the server ended with {code}", file=sys.stderr)


async def closed_loop(port: int, requests: list[bytes], num_clients: int, seconds: float) -> tuple[Tally, float]:
    """Requests from `num_clients` clients for `seconds`; also the rate of answers with 200, per second."""
    tally, numbers = Tally(), itertools.count()  # all clients take their photos from one sequence
    until = time.perf_counter() + seconds

    async def work() -> None:
        client = Client(port)
        while time.perf_counter() < until:
            await client.ask(requests[next(numbers) % len(requests)], tally)
        await client.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(num_clients)))
    return tally, len(tally.seconds.get(200, [])) / (time.perf_counter() - started)


async def open_loop(port: int, requests: list[bytes], rate: float, seconds: float) -> tuple[Tally, int]:
    """Requests at a fixed rate; also how many could not be sent because all connections were waiting for an answer."""
    tally, unsent = Tally(), 0
    idle: list[Client] = [Client(port) for _ in range(MAX_CONNECTIONS)]
    pending: set[asyncio.Task[None]] = set()

    async def ask(client: Client, request: bytes) -> None:
        await client.ask(request, tally)
        idle.append(client)

    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        # Request `number` is due at `started + number / rate`, whatever has been answered by then.
        if (early := started + number / rate - time.perf_counter()) > 0.001:
            await asyncio.sleep(early)
        elif time.perf_counter() - started > seconds:  # the clients themselves are too slow for the rate
            unsent += int(rate * seconds) - number
            break
        if not idle:
            unsent += 1
            await asyncio.sleep(0)  # let answers arrive
            continue
        task = asyncio.create_task(ask(idle.pop(), requests[number % len(requests)]))
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)
    for client in idle:
        await client.close()
    return tally, unsent


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process and its children in MB. Linux only."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{pid}/status").read_text()
    own = int(status.partition("VmRSS:")[2].split()[0]) / 1024  # the file counts in kB
    return own + sum(resident_megabytes(int(child)) for child in children)


def descriptors_and_threads(pid: int) -> tuple[int, int]:
    """Number of open files and of threads of a process. Linux only."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), len(list(Path(f"/proc/{pid}/task").iterdir()))


def quantile_ms(seconds: list[float], share: float) -> str:
    """A quantile in milliseconds, a dash if there is nothing."""
    return f"{1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]:.0f} ms" if seconds else "-"


TABLE = "\n| clients | answers | p50 | p99 | refused (429) | p50 | p99 | late (503) | other |\n" + "|---" * 9 + "|"


def print_load(name: str, tally: Tally, rate: float) -> None:
    """One row of the table of loads."""
    accepted, refused, late = (tally.seconds.get(status, []) for status in (200, 429, 503))
    others = tally.num_answers - len(accepted) - len(refused) - len(late) + tally.broken
    cells = [name, f"{rate:.0f}/s", quantile_ms(accepted, 0.5), quantile_ms(accepted, 0.99), str(len(refused))]
    cells += [quantile_ms(refused, 0.5), quantile_ms(refused, 0.99), str(len(late)), str(others)]
    print(f"| {' | '.join(cells)} |", flush=True)


async def loads(arguments: argparse.Namespace, port: int, pid: int) -> None:
    """Measure and print the table of loads."""
    requests = good_requests(arguments.photos)
    size = statistics.mean(map(len, requests)) / 1000
    await closed_loop(port, requests, 4, min(3.0, arguments.seconds))  # not measured: warms up
    print(f"{len(requests)} photos of {size:.0f} kB, {arguments.workers} workers, {arguments.seconds:g} s per row")
    print(TABLE)
    capacity = 0.0
    for num_clients in (1, 8, 64):
        tally, rate = await closed_loop(port, requests, num_clients, arguments.seconds)
        print_load(str(num_clients), tally, rate)
        capacity = max(capacity, rate)
    before, overload = resident_megabytes(pid), 10 * capacity
    tally, unsent = await open_loop(port, requests, overload, arguments.overload_seconds)
    print_load(f"10x: {overload:.0f}/s sent", tally, len(tally.seconds.get(200, [])) / arguments.overload_seconds)
    during = resident_megabytes(pid)
    tally_after, rate = await closed_loop(port, requests, 8, min(5.0, arguments.seconds))
    print_load("8, right after it", tally_after, rate)
    print(f"\n{unsent} requests of the overload could not be sent; {tally.without_retry_after} lacked Retry-After")
    print(f"resident memory {before:.0f} MB before, {during:.0f} MB after the overload")


async def soak(arguments: argparse.Namespace, port: int, pid: int) -> None:
    """Send `--soak` requests, one in ten bad; print statuses and memory."""
    good = good_requests(arguments.photos)
    bad, num, counts, tally = bad_requests(good[0]), arguments.soak, Counter[str](), Tally()
    numbers = iter(range(num))  # shared by all clients
    print("| requests | resident memory | open files | threads |\n|---|---|---|---|")

    def report(completed: int) -> float:
        memory, (files, threads) = resident_megabytes(pid), descriptors_and_threads(pid)
        print(f"| {completed:,} | {memory:.1f} MB | {files} | {threads} |", flush=True)
        return memory

    measured: list[float] = []

    async def work() -> None:
        client = Client(port)
        for number in numbers:
            is_bad = number % 10 == 9
            # The quotient takes each kind of bad request in turn.
            request = bad[number // 10 % len(bad)] if is_bad else good[number % len(good)]
            status = await client.ask(request, tally)
            counts[f"{'bad' if is_bad else 'good'} {status}"] += 1
            if (number + 1) % max(1, num // 10) == 0:
                measured.append(report(number + 1))
        await client.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(8)))
    print("\n| photos | status | requests |\n|---|---|---|")
    for kind in sorted(counts):
        print(f"| {kind.replace(' ', ' | ')} | {counts[kind]:,} |")
    print(
        f"\n{num / (time.perf_counter() - started):.0f} requests/s; memory after the first tenth to the end: "
        f"{measured[-1] / measured[0] - 1:+.1%}"
    )


def main() -> None:
    """Start a server, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs instead of synthetic photos")
    parser.add_argument("--model", help="a run folder or a bundle instead of the bundled model")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of each load")
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="run a soak test of N requests instead")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # raises SystemExit, so that the server is stopped as well
    options = ["--workers", str(arguments.workers), *(["--model", arguments.model] if arguments.model else [])]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    with server(options) as (port, pid):
        asyncio.run((soak if arguments.soak else loads)(arguments, port, pid))


if __name__ == "__main__":
    main()
