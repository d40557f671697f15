"""Does a healthy client notice hostile photos, and what does decoding in separate processes cost?

    python -m benchmarks.hostile_photos                      # ten hostile photos per second, quiet and hostile in turns
    python -m benchmarks.hostile_photos --costly             # photos just below the limits instead of above them
    python -m benchmarks.hostile_photos --against ../before  # answers per second of two checkouts, in turns

The hostile photos are made here, and never written to disk.
"""

import argparse
import asyncio
import os
import statistics
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from benchmarks.serve import closed_loop, good_requests, open_loop, quantile_ms, request_of, resident_megabytes


def png(width: int, height: int, depth: int, color_type: int, others: bytes = b"") -> bytes:
    """A black PNG, whole and valid, in few bytes."""
    channels = {0: 1, 2: 3, 6: 4}[color_type]
    num_bytes, packer = height * (1 + (width * channels * depth + 7) // 8), zlib.compressobj(9)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(num_bytes // 1_000_000)]
    pixels = b"".join([*parts, packer.compress(bytes(num_bytes % 1_000_000)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + others + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _jpeg(side: int, **options: object) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "JPEG", **options)
    return buffer.getvalue()


def hostile_photos() -> dict[str, bytes]:
    """Photos that would take many seconds or gigabytes, and that the limits refuse."""
    scans = _jpeg(3000, progressive=True)
    last_scan = scans[scans.rindex(b"\xff\xda") : -2]
    photo = _jpeg(100)
    return {
        "progressive JPEG of 3,000 scans": scans[:-2] + last_scan * 3000 + scans[-2:],
        "JPEG of 1,000,000 segments": photo[:2] + b"\xff\xfe\0\2" * 1_000_000 + photo[2:],
        "one column of 40,000,000 pixels": png(1, 40_000_000, 8, 0),
        "50 megapixels with alpha": png(7070, 7070, 8, 6),
        "50 megapixels of 16 bits": png(7070, 7070, 16, 2),
        "PNG of 300,000 chunks": png(10, 10, 8, 2, _chunk(b"tEXt", b"a\0b") * 300_000),
        "GIF that declares 4,294,836,225 pixels": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;",
        "TIFF of 1,000,000 tags": struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 1_000_000) + bytes(20) * 1_000_000,
    }


def costly_photos() -> dict[str, bytes]:
    """Small files just below the limits: each takes about a second of CPU time."""
    return {
        "PNG of 49 megapixels": png(7000, 7000, 8, 2),
        "PNG of 36 megapixels with alpha": png(6000, 6000, 8, 6),
        "progressive JPEG of 49 megapixels": _jpeg(7000, progressive=True),
    }


@contextmanager
def server(checkout: Path) -> Iterator[tuple[int, int]]:
    """The service of a checkout in its own process; yields its port and process id."""
    command = [sys.executable, "-m", "dogvscat", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    with subprocess.Popen(
        command, env=environment, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        address = (process.stdout or sys.stdin).readline().strip()
        if not address:
            raise SystemExit(f"the server of {checkout} did not start")
        try:
            yield int(address.rpartition(":")[2]), process.pid
        finally:
            process.terminate()
            process.wait(60)


async def disturb(arguments: argparse.Namespace, port: int, pid: int) -> None:
    """Measure a healthy client in turns with and without hostile photos, and print both."""
    photos = costly_photos() if arguments.costly else hostile_photos()
    hostile, healthy = [request_of(data) for data in photos.values()], good_requests(None)
    before = resident_megabytes(pid)
    seconds: dict[str, list[float]] = {"quiet": [], "hostile": []}
    refused: Counter[str] = Counter()
    await open_loop(port, healthy, arguments.rate, 3.0)  # not measured: warms up
    for _ in range(arguments.rounds):
        for kind, latencies in seconds.items():
            loads = [open_loop(port, healthy, arguments.rate, arguments.seconds)]
            if kind == "hostile":
                loads.append(open_loop(port, hostile, arguments.hostile_rate, arguments.seconds))
            (tally, _), *others = await asyncio.gather(*loads)
            latencies += tally.seconds.get(200, [])
            refused.update({f"healthy {status}": len(times) for status, times in tally.seconds.items()})
            for other, _ in others:
                refused.update({f"hostile {status}": len(times) for status, times in other.seconds.items()})
    print(f"{len(photos)} kinds: {', '.join(photos)}\n")
    print("| | answers | p50 | p99 |\n|---|---|---|---|")
    for kind, latencies in seconds.items():
        print(f"| {kind} | {len(latencies):,} | {quantile_ms(latencies, 0.5)} | {quantile_ms(latencies, 0.99)} |")
    print(f"\nstatuses: {dict(sorted(refused.items()))}")
    print(f"resident memory with all processes: {before:.0f} MB before, {resident_megabytes(pid):.0f} MB after")


async def compare(arguments: argparse.Namespace, ports: tuple[int, int]) -> None:
    """Answers per second of two services in turns, one pair after the other."""
    healthy, ratios = good_requests(arguments.photos), []
    for port in ports:
        await closed_loop(port, healthy, 8, 3.0)  # not measured: warms up
    for number in range(2 * arguments.rounds):
        rates = {}
        for port in ports if number % 2 else ports[::-1]:
            _, rates[port] = await closed_loop(port, healthy, 8, arguments.seconds)
        ratios.append(rates[ports[0]] / rates[ports[1]])
        print(f"here {rates[ports[0]]:.1f}/s, against {rates[ports[1]]:.1f}/s: {ratios[-1]:.3f}", flush=True)
    print(f"median {statistics.median(ratios):.3f} of {len(ratios)} pairs ({min(ratios):.3f} to {max(ratios):.3f})")


def main() -> None:
    """Start the services, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--costly", action="store_true", help="photos just below the limits instead of above them")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare answers per second with a checkout")
    parser.add_argument("--photos", type=Path, help="with --against: a folder of JPEGs instead of drawn photos")
    parser.add_argument("--rate", type=float, default=10.0, help="healthy requests per second")
    parser.add_argument("--hostile-rate", type=float, default=10.0, help="hostile requests per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of a measurement")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of quiet and hostile, or half the pairs compared")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    with ExitStack() as stack:
        port, pid = stack.enter_context(server(here))
        if arguments.against:
            port_against, _ = stack.enter_context(server(arguments.against.resolve()))
            asyncio.run(compare(arguments, (port, port_against)))
        else:
            asyncio.run(disturb(arguments, port, pid))


if __name__ == "__main__":
    main()
