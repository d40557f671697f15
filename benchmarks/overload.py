"""Does the service keep its promises under too much load? Each part starts a server of its own, and prints its figures.

    python -m benchmarks.overload                    # all three at full size, about half an hour on two cores
    python -m benchmarks.overload --only deadline --accepted 500
    python -m benchmarks.overload --only equal --requests 1000
    python -m benchmarks.overload --only stop --stops 3

deadline: ten times as many requests as the service answers, until so many are accepted; none may miss the deadline.
equal: mixed requests from many clients; each answer must be that which the same request gets alone.
stop: SIGTERM at random moments under load; no accepted request may remain without its answer.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import IO
from urllib.request import urlopen

import numpy as np

from benchmarks.serve import (
    TABLE,
    Client,
    Tally,
    bad_requests,
    closed_loop,
    good_requests,
    open_loop,
    print_load,
    quantile_ms,
    request_of,
    server,
)

MISSED = "dogvscat_missed_deadlines_total"
ROUND_SECONDS = 20.0


async def deadline(arguments: argparse.Namespace) -> None:
    """Overload until enough requests are accepted; print how long accepted and refused ones took."""
    # The queue has room for all connections, so that only the deadline limits it.
    with server(["--deadline", str(arguments.deadline), "--queue", "100000"]) as (port, _):
        requests = good_requests(None)
        await closed_loop(port, requests, 4, 3.0)  # not measured: warms up
        print(f"deadline of {arguments.deadline:g} s, queue without a limit\n{TABLE}")
        tally, capacity = await closed_loop(port, requests, 8, 10.0)
        print_load("8", tally, capacity)
        total, num_unsent, started = Tally(), 0, time.perf_counter()
        while len(total.seconds.get(200, [])) < arguments.accepted:
            tally, unsent = await open_loop(port, requests, 10 * capacity, ROUND_SECONDS)
            num_unsent += unsent
            total.broken += tally.broken
            total.without_retry_after += tally.without_retry_after
            for status, seconds in tally.seconds.items():
                total.seconds.setdefault(status, []).extend(seconds)
        print_load("10x", total, len(total.seconds[200]) / (time.perf_counter() - started))
        with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            missed = next(line.split()[1] for line in response.read().decode().splitlines() if line.startswith(MISSED))
    accepted = len(total.seconds[200])
    print(f"\naccepted {accepted:,}; missed the deadline: {missed}; slowest {quantile_ms(total.seconds[200], 1.0)}")
    print(f"without an answer {total.broken}; lacking Retry-After {total.without_retry_after}; unsent {num_unsent:,}")


def infer_request(name: str, size: int, seed: int) -> bytes:
    """A request of the Open Inference Protocol with an image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (1, size, size, 3)).ravel().tolist()
    tensor = {"name": "pixels", "shape": [1, size, size, 3], "datatype": "UINT8", "data": pixels}
    body = json.dumps({"id": str(seed), "inputs": [tensor]}).encode()
    return request_of(body, "application/json").replace(b"/api/v1/predict", f"/v2/models/{name}/infer".encode(), 1)


def form_request(photos: Sequence[bytes]) -> bytes:
    """A form with these photos."""
    parts = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="f"; filename="%d.jpg"\r\n\r\n%b\r\n' % part
        for part in enumerate(photos)
    )
    return request_of(parts + b"--edge--\r\n", "multipart/form-data; boundary=edge")


def mixed_requests(name: str, size: int) -> list[bytes]:
    """Requests of every kind: single photos, bad ones, forms with a bad photo among good ones, heat maps, tensors."""
    good = good_requests(None)
    photos = [request.partition(b"\r\n\r\n")[2] for request in good]
    forms = [form_request([photos[index], b"bad", photos[index - 1]]) for index in range(8)]
    explained = [request.replace(b"/predict ", b"/predict?explain=true ", 1) for request in good[:6]]
    tensors = [infer_request(name, size, seed) for seed in range(8)]
    return [*good, *good, *bad_requests(good[0]), *forms, *explained, *tensors]


async def leave(port: int, request: bytes) -> None:
    """Send half of a request, and go."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request[: len(request) // 2])
    with suppress(ConnectionError):
        await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def equal(arguments: argparse.Namespace) -> None:
    """Compare each answer under load with the answer to the same request alone."""
    with server([]) as (port, _):
        with urlopen(f"http://127.0.0.1:{port}/api/v1/model") as response:
            model = json.load(response)
        requests = mixed_requests(model["name"], model["image_size"])
        alone, tally = Client(port), Tally()
        expected = [(await alone.ask(request, tally), alone.body) for request in requests]
        await alone.close()
        numbers, counts, rng = iter(range(arguments.requests)), Counter[str](), random.Random(0)

        async def work() -> None:
            client = Client(port)
            for _ in numbers:
                index = rng.randrange(len(requests))
                if rng.random() < 0.05:
                    await leave(port, requests[index])
                    counts["left half-way"] += 1
                    continue
                while (status := await client.ask(requests[index], tally)) == 429:
                    counts["(refused with 429, and sent again)"] += 1
                    await asyncio.sleep(1)
                is_equal = (status, client.body) == expected[index]
                counts[f"status {status}, {'equal' if is_equal else 'DIFFERENT'}"] += 1
            await client.close()

        await asyncio.gather(*(work() for _ in range(24)))
    print("| answer, compared with the same request alone | requests |\n|---|---|")
    for kind, number in sorted(counts.items()):
        print(f"| {kind} | {number:,} |")
    print(f"\n{tally.broken} without an answer")


async def stop(arguments: argparse.Namespace) -> None:
    """Stop servers under load, and compare their logs with what the clients received."""
    rng, requests = random.Random(0), good_requests(None)
    print(
        "| stop | accepted | answered | refused with 503 | refused connections | seconds | exit code |\n"
        + "|---" * 7
        + "|"
    )
    lost = 0
    for number in range(arguments.stops):
        with tempfile.TemporaryFile() as log:
            counts, seconds = await _stop_under_load(log, requests, 0.5 + 2 * rng.random())
            log.seek(0)
            entries = [json.loads(line) for line in log.read().decode().splitlines()]
        accepted = sum(entry.get("status") == 200 for entry in entries)
        lost += accepted - counts["200"]
        cells = [
            number + 1,
            accepted,
            counts["200"],
            counts["503"],
            counts["refused"],
            f"{seconds:.1f}",
            counts["exit"],
        ]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"\naccepted and without an answer: {lost}")


async def _stop_under_load(log: IO[bytes], requests: list[bytes], after_seconds: float) -> tuple[Counter[str], float]:
    counts = Counter[str]()
    command = [sys.executable, "-m", "dogvscat", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    port = int((process.stdout or sys.stdin).readline().strip().rpartition(":")[2])

    async def work(number: int) -> None:
        while process.poll() is None:
            client, tally = Client(port), Tally()
            status = await client.ask(requests[number % len(requests)], tally)
            counts[str(status) if status else "refused"] += 1
            await client.close()
            if not status:
                await asyncio.sleep(0.05)

    clients = [asyncio.create_task(work(number)) for number in range(24)]
    await asyncio.sleep(after_seconds)
    started = time.perf_counter()
    os.kill(process.pid, signal.SIGTERM)
    counts["exit"] = await asyncio.to_thread(process.wait, 60)
    seconds = time.perf_counter() - started
    await asyncio.gather(*clients)
    return counts, seconds


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {"deadline": deadline, "equal": equal, "stop": stop}
    parser.add_argument("--only", choices=parts, help="one part instead of all")
    parser.add_argument("--accepted", type=int, default=5000, help="of deadline: requests to accept")
    parser.add_argument("--deadline", type=float, default=2.0, help="of deadline: seconds")
    parser.add_argument("--requests", type=int, default=10_000, help="of equal: requests to send")
    parser.add_argument("--stops", type=int, default=20, help="of stop: servers to stop")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # raises SystemExit, so that the server is stopped as well
    for name, part in parts.items():
        if arguments.only in (None, name):
            print(f"\n## {name}\n", flush=True)
            asyncio.run(part(arguments))


if __name__ == "__main__":
    main()
