"""Flip bits in every file of a bundle, one at a time: is each flip refused, how fast, in how much memory?

    python benchmarks/flipped_bits.py [BUNDLE]

Every byte of `card.json` and of `SHA256SUMS` gets one flipped bit, and every other file 400 at random places. All of
this happens in one process, as `Predictor.load` would; then one flip per file is tried with `dogvscat predict`, in a
process of its own. The command fails if a flip is accepted.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dogvscat.bundle.checksums import CHECKSUMS_FILE
from dogvscat.bundle.folder import CARD_FILE, DEFAULT_BUNDLE, load_bundle
from dogvscat.errors import ModelError

_FLIPS = 400
_TEXTS = (CARD_FILE, CHECKSUMS_FILE)


def main() -> None:
    """Print a table, one row per file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?", default=DEFAULT_BUNDLE)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    num_accepted = 0
    print(
        "| file | bytes | flips | accepted | CPU, ms | predict: CPU, s | predict: MB |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(shutil.copytree(arguments.bundle, Path(temporary) / "bundle"))
        good = load_bundle(folder)  # also imports what is imported only once
        names = (*_TEXTS, *(name for name in good.checksums.by_name if name not in _TEXTS))
        # First: the peak memory of a new process is at least that of the process that starts it.
        commands = {name: predict_flipped(folder, name, rng) for name in names}
        for name in names:
            size, (flips, accepted, longest) = (folder / name).stat().st_size, flip_bits(folder, name, rng)
            seconds, megabytes, code = commands[name]
            num_accepted += accepted + (code != ModelError.exit_code)
            numbers = f"{size:,} | {flips:,} | {accepted} | {1e3 * longest:.0f} | {seconds:.2f} | {megabytes:.0f}"
            print(f"| {name} | {numbers} |", flush=True)
        load_bundle(folder)  # all flips were taken back
    sys.exit(1 if num_accepted else 0)


def flip_bits(folder: Path, name: str, rng: random.Random) -> tuple[int, int, float]:
    """How many flips were tried in a file, how many were accepted, and the longest refusal, in CPU seconds."""
    size = (folder / name).stat().st_size
    positions = range(size) if name in _TEXTS else [rng.randrange(size) for _ in range(_FLIPS)]
    accepted, longest = 0, 0.0
    for position in positions:
        with flipped_bit(folder / name, position, 1 << rng.randrange(8)):
            start = time.process_time()
            try:
                load_bundle(folder)
            except ModelError:
                longest = max(longest, time.process_time() - start)
            else:
                accepted += 1
                print(f"accepted: {name}, byte {position}", file=sys.stderr)
    return len(positions), accepted, longest


def predict_flipped(folder: Path, name: str, rng: random.Random) -> tuple[float, float, int]:
    """CPU seconds, peak memory in MB and exit code of `dogvscat predict` with one flip in a file."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "dogvscat",
        "predict",
        folder / "golden" / "1.png",
        "--model",
        folder,
    ]
    position, bit = rng.randrange((folder / name).stat().st_size), 1 << rng.randrange(8)
    quiet = subprocess.DEVNULL
    with flipped_bit(folder / name, position, bit), subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, _megabytes(usage), process.returncode


@contextmanager
def flipped_bit(file: Path, position: int, bit: int) -> Iterator[None]:
    """A bit is flipped in place inside the block."""
    with file.open("r+b", buffering=0) as stream:
        stream.seek(position)
        (byte,) = stream.read(1)
        stream.seek(position)
        stream.write(bytes([byte ^ bit]))
        yield
        stream.seek(position)
        stream.write(bytes([byte]))


def _megabytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
