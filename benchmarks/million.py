"""What do a million photos cost: seconds until a command shows progress, memory, and the search for copies?

    python benchmarks/million.py names --photos 1000000 --scratch FOLDER
    python benchmarks/million.py hashes --photos 80000 --before ../dogvscat-before --repeats 3
    python benchmarks/million.py cluster PHOTOS --workers 1 2 4 --repeats 3

`names` gives forty small photos a million names, by hard links in a temporary folder, which is removed at the end. It
runs `predict`, `audit`, `train` and `runs` over them on a terminal, each for at most --seconds, and prints when the
first progress appeared, and the most memory that was resident. `hashes` compares random perceptual hashes with each
other, in turn with two checkouts. `cluster` answers photos on a Ray cluster of this machine with different numbers of
workers, in turn, and prints photos per second.
"""

import argparse
import os
import pty
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dogvscat.photos.drawing.sample import draw

CHECKOUT = Path(__file__).resolve().parents[1]
PHOTOS_PER_CLASS = 20
NAMES_PER_FOLDER = 10_000
RAY_PORT = 6399
HASHES = """\
import resource, sys, time
import numpy as np
try:
    from dogvscat.photos.copies.near_hashes import near_hashes
except ImportError:  # an older checkout
    from dogvscat.photos.copies.perceptual_hash import near_hashes
rows = np.random.default_rng(0).integers(0, 256, (int(sys.argv[1]), 32), dtype=np.uint8)
digits = [row.tobytes().hex() for row in rows]
before = resource.getrusage(resource.RUSAGE_SELF)
started = time.perf_counter()
list(near_hashes(digits))
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_SELF)
cpu_seconds = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
print(seconds, cpu_seconds, (usage.ru_maxrss - before.ru_maxrss) / 1024)
"""


def main() -> None:
    """Run the chosen measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    names = commands.add_parser("names")
    names.add_argument("--photos", type=int, default=1_000_000)
    names.add_argument("--scratch", type=Path, help="where the temporary folder is made")
    names.add_argument("--seconds", type=float, default=600, help="each command is stopped after this time")
    names.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    hashes = commands.add_parser("hashes")
    hashes.add_argument("--photos", type=int, default=80_000)
    hashes.add_argument("--before", type=Path, help="a checkout of an older commit")
    hashes.add_argument("--repeats", type=int, default=3)
    cluster = commands.add_parser("cluster")
    cluster.add_argument("photos", type=Path)
    cluster.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    cluster.add_argument("--answers", type=int, default=4000)
    cluster.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.command == "names":
        measure_names(arguments.photos, arguments.scratch, arguments.seconds, arguments.commands)
    elif arguments.command == "hashes":
        measure_hashes(arguments.photos, arguments.before, arguments.repeats)
    else:
        measure_cluster(arguments.photos, arguments.answers, arguments.workers, arguments.repeats)


# --- Names

COMMANDS = {
    "predict": ["predict", "PHOTOS"],
    "audit": ["audit", "PHOTOS", "--out", "SCRATCH/audit"],
    "train": ["train", "PHOTOS", "--recipe", "fast", "--out", "SCRATCH/runs/million", "--set", "data.image_size=32"],
    "runs": ["runs", "SCRATCH/runs"],
}


@dataclass(frozen=True)
class Watched:
    """What was seen of a command."""

    first_progress: float | None
    """Seconds until something appeared on the terminal; None if nothing did."""
    seconds: float
    """Until it ended, or was stopped."""
    peak_mb: float
    """The most memory that was resident, in MB."""
    exit_code: int | None
    """None if it was stopped."""
    last_text: str
    """The end of what appeared on the terminal."""


def measure_names(count: int, scratch: Path | None, seconds: float, commands: Iterable[str]) -> None:
    """Print one row per command."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        photos = Path(folder, "photos")
        make_names(photos, count)
        os.environ |= {"DOGVSCAT_HOME": f"{folder}/home", "PYTHONPATH": str(CHECKOUT / "src"), "TERM": "xterm"}
        print(f"| {count:,} names | first progress, s | most memory, MB | ended after, s | exit code |")
        print("|---|---|---|---|---|")
        for name in commands:
            words = [word.replace("PHOTOS", str(photos)).replace("SCRATCH", folder) for word in COMMANDS[name]]
            watched = watch([sys.executable, "-m", "dogvscat", *words], seconds)
            first = "none" if watched.first_progress is None else f"{watched.first_progress:.1f}"
            exit_code = "stopped" if watched.exit_code is None else watched.exit_code
            print(f"| {name} | {first} | {watched.peak_mb:.0f} | {watched.seconds:.0f} | {exit_code} |", flush=True)
            if watched.exit_code:
                print(watched.last_text, file=sys.stderr)


def make_names(photos: Path, count: int) -> None:
    """Two class folders with hard links to a few drawn pictures, each class with its own.

    A file system allows a file some 65,000 names, and slows down with very many files in one folder.
    """
    per_class = (count + 1) // 2
    for kind in ("cat", "dog"):
        originals = photos / "originals" / kind
        originals.mkdir(parents=True)
        for seed in range(PHOTOS_PER_CLASS):
            draw(kind, seed, 64).save(originals / f"{seed}.jpg", quality=85)
        for number in range(per_class):
            folder = photos / kind / f"{number // NAMES_PER_FOLDER:04}"
            if number % NAMES_PER_FOLDER == 0:
                folder.mkdir(parents=True)
            os.link(originals / f"{number % PHOTOS_PER_CLASS}.jpg", folder / f"{number:07}.jpg")
    shutil.rmtree(photos / "originals")


def watch(command: list[str], seconds: float) -> Watched:
    """Run a command with a terminal as stderr, and stop it after some time."""
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    first_progress, peak_mb, text, exit_code = None, 0.0, b"", None
    while time.perf_counter() - started < seconds:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                text = (text + os.read(ours, 65536))[-2000:]
            except OSError:  # how Linux says that the other side of a terminal is closed
                exit_code = process.wait()
                break
            first_progress = first_progress or time.perf_counter() - started
        peak_mb = max(peak_mb, _peak_megabytes(process.pid))
    ended = time.perf_counter() - started
    if exit_code is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    os.close(ours)
    return Watched(first_progress, ended, peak_mb, exit_code, text.decode(errors="replace"))


def _peak_megabytes(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM:")), 0.0)


# --- Hashes


def measure_hashes(count: int, before: Path | None, repeats: int) -> None:
    """Print the time of comparing all hashes with each other, and the ratios of alternating runs."""
    ratios = []
    for repeat in range(repeats):
        checkouts = [CHECKOUT] if before is None else [before.resolve(), CHECKOUT][:: 1 if repeat % 2 else -1]
        seconds = {}
        for checkout in checkouts:
            environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
            command = [sys.executable, "-c", HASHES, str(count)]
            result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            wall, cpu, megabytes = map(float, result.stdout.split())
            seconds[checkout] = wall
            name = "now" if checkout == CHECKOUT else "before"
            each = wall / (count * (count - 1) / 2) * 1e9
            print(f"{name}: {wall:.2f} s, CPU {cpu:.2f} s, {each:.2f} ns per pair, {megabytes:.0f} MB", flush=True)
        if before is not None:
            ratios.append(seconds[before.resolve()] / seconds[CHECKOUT])
    if ratios:
        print(
            f"before / now, median of {repeats}: {statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
        )


# --- Cluster


def measure_cluster(photos: Path, answers: int, workers: list[int], repeats: int) -> None:
    """Print photos per second of `predict` with each number of workers, and in this process."""
    files = sorted(path for path in photos.rglob("*.jpg"))
    rates: dict[int, list[float]] = {count: [] for count in [0, *workers]}
    for _ in range(repeats):
        for count, measured in rates.items():
            measured.append(cluster_rate(files, answers, count))
            print(f"{count or 'no'} workers: {measured[-1]:.0f} photos per second", file=sys.stderr, flush=True)
    print("| workers | photos per second, median | times those of one worker |\n|---|---|---|")
    one = statistics.median(rates[workers[0]])
    for count, measured in rates.items():
        rate = statistics.median(measured)
        print(f"| {count or 'none: this process, all cores'} | {rate:.0f} | {rate / one:.2f} |")


def cluster_rate(files: list[Path], answers: int, workers: int) -> float:
    """Photos per second between the first tenth of the answers and the last; the cluster's start is left out.

    Args:
        files: Photos, named again and again.
        answers: Number of photos to answer.
        workers: Cores that the cluster is told it has. 0: no cluster.
    """
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "src"), "RAY_USAGE_STATS_ENABLED": "0"}
    with ray_node(workers, environment) if workers else nullcontext() as address:
        command = [sys.executable, "-m", "dogvscat", "predict", "-", "--json"]
        command += ["--cluster", address] if address else []
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            paths = "".join(f"{files[number % len(files)].resolve()}\n" for number in range(answers))
            process.stdin.write(paths.encode())  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
            times = [time.perf_counter() for _ in process.stdout]  # type: ignore[union-attr]
    first = answers // 10
    return (len(times) - first) / (times[-1] - times[first - 1])


@contextmanager
def ray_node(workers: int, environment: dict[str, str]) -> Iterator[str]:
    """A Ray cluster of this machine only, on loopback; yields its address."""
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--include-dashboard=false"]
    command += [f"--num-cpus={workers}", "--node-ip-address=127.0.0.1", f"--port={RAY_PORT}"]
    # In a session of its own: `ray stop` would also end the clusters of others on this machine.
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while socket.socket().connect_ex(("127.0.0.1", RAY_PORT)):
            if process.poll() is not None:
                raise SystemExit("Ray could not be started")
            time.sleep(0.2)
        time.sleep(3)  # until its machine has joined
        yield f"127.0.0.1:{RAY_PORT}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
