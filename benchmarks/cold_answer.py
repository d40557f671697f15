"""How soon is one photo answered, from the start of a process to its end? Compared with a bare script.

    python benchmarks/cold_answer.py PHOTO --out FILE.md [--model RUN] [--rounds 21] [--processors 1 2]

First table: `dogvscat predict`; a bare script of NumPy, Pillow and ONNX Runtime that does the same with the same
network and checks nothing; `dogvscat --help`; and Python alone. It has wall-clock time and CPU time, measured in turns,
and peak memory. The goals are 1.2 times the bare script, 120 MB, and 0.12 s for `--help`.

Second table: `dogvscat predict` with a cgroup's quota of some processors, as in a container, and bound to that many
processors, as on a machine of that size, in turns. The goal is a ratio of 1.3. It needs Linux and the right to make
cgroups.
"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dogvscat import atomic
from dogvscat.bundle.folder import MODEL_FILE, find_bundle, load_card

BARE = """\
import sys
import numpy as np
import onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
size = int(sys.argv[3])
with Image.open(sys.argv[2]) as image:
    image.draft("RGB", (size, size))
    pixels = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
(logit,) = session.run(["logit"], {"pixels": pixels[None]})
print(1 / (1 + np.exp(-logit[0, 0])))
"""

_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Without that variable Python caches bytecode, as it does for installed programs."""
_CGROUPS = Path("/sys/fs/cgroup")


class Usage(NamedTuple):
    """What one process took."""

    seconds: float
    """From its start to its end."""
    processor_seconds: float
    megabytes: float
    """Largest resident memory."""


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", type=Path, help="a run folder or a bundle; the bundled model if not given")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--processors", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    bundle, size = find_bundle(arguments.model), load_card(arguments.model).image_size
    python, photo = sys.executable, str(arguments.photo)
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare.py")
        bare.write_text(BARE, encoding="utf-8")
        dogvscat = [str(Path(python).with_name("dogvscat"))]
        predict = [*dogvscat, "predict", "--model", str(bundle), photo]
        programs = {
            "`dogvscat predict`": predict,
            "bare script": [python, str(bare), str(bundle / MODEL_FILE), photo, str(size)],
            "`dogvscat --help`": [*dogvscat, "--help"],
            "`python -c pass`": [python, "-c", "pass"],
        }
        lines = [f"Load before: {os.getloadavg()[0]:.1f}.", "", *_cold(programs, arguments.rounds)]
        for count in arguments.processors:
            lines += ["", *_limited(predict, count, arguments.rounds)]
    text = "\n".join([*lines, "", f"Load after: {os.getloadavg()[0]:.1f}."]) + "\n"
    print(text)
    atomic.write_text(arguments.out, text)


def _cold(programs: dict[str, list[str]], rounds: int) -> Iterator[str]:
    """The table of programs, each compared with the second one."""
    runs = _in_turns({name: functools.partial(_run, command) for name, command in programs.items()}, rounds)
    yield f"| cold, one photo, n = {rounds} | median, s | quartiles, s | CPU, s | wall ratio | CPU ratio | peak, MB |"
    yield "|---|---|---|---|---|---|---|"
    bare = list(runs.values())[1]
    for name, usages in runs.items():
        seconds, processor = [usage.seconds for usage in usages], [usage.processor_seconds for usage in usages]
        yield (
            f"| {name} | {statistics.median(seconds):.3f} | {_quartiles(seconds, 3)} | "
            f"{statistics.median(processor):.3f} | {_ratio(usages, bare, 0)} | {_ratio(usages, bare, 1)} | "
            f"{max(usage.megabytes for usage in usages):.0f} |"
        )


def _limited(command: list[str], count: int, rounds: int) -> Iterator[str]:
    """The table of one command under a quota and bound to processors."""
    processors = set(sorted(os.sched_getaffinity(0))[:count])
    with _quota(count) as enter:
        measures = {
            f"quota of {count}": functools.partial(_run, command, enter),
            f"bound to {count}": functools.partial(_run, command, lambda: os.sched_setaffinity(0, processors)),
        }
        runs = _in_turns(measures, rounds)
    yield f"| `dogvscat predict`, {os.cpu_count()} processors, n = {rounds} | median, s | quartiles, s | wall ratio |"
    yield "|---|---|---|---|"
    bound = list(runs.values())[1]
    for name, usages in runs.items():
        seconds = [usage.seconds for usage in usages]
        yield f"| {name} | {statistics.median(seconds):.3f} | {_quartiles(seconds, 3)} | {_ratio(usages, bound, 0)} |"


def _in_turns(measures: Mapping[str, Callable[[], Usage]], rounds: int) -> dict[str, list[Usage]]:
    """The usages of each program. In turns, so that a machine whose speed drifts affects all of them."""
    runs: dict[str, list[Usage]] = {name: [] for name in measures}
    for turn in range(rounds + 1):
        for name, measure in measures.items():
            usage = measure()
            # The first turn is not measured: it fills the file cache, and checks a bundle that was never used here.
            runs[name] += [usage] if turn else []
    return runs


def _ratio(usages: Sequence[Usage], base: Sequence[Usage], field: int) -> str:
    """Median and quartiles of the ratios of each turn."""
    if usages is base:
        return ""
    ratios = [usage[field] / reference[field] for usage, reference in zip(usages, base, strict=True)]
    return f"{statistics.median(ratios):.2f} ({_quartiles(ratios, 2)})"


def _quartiles(values: Sequence[float], digits: int) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _run(command: list[str], prepare: Callable[[], None] | None = None) -> Usage:
    """Run a program to its end; `prepare` is called in the new process first."""
    started = time.perf_counter()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=_ENVIRONMENT, preexec_fn=prepare
        ) as process,
    ):
        if process.stdout:
            process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # of this child only, unlike resource.getrusage
        elapsed = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read().decode()}")
    # ru_maxrss is in kB on Linux, and never less than the memory of this process, in which the child starts.
    return Usage(elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def _quota(count: int) -> Iterator[Callable[[], None]]:
    """A cgroup that may use this many processors; yields a function that moves the calling process into it."""
    is_version_2 = (_CGROUPS / "cgroup.controllers").exists()
    folder = (_CGROUPS if is_version_2 else _CGROUPS / "cpu") / "dogvscat-cold-answer"
    folder.mkdir()
    try:
        limits = {"cpu.max": f"{count}00000 100000"} if is_version_2 else {"cpu.cfs_quota_us": f"{count}00000"}
        for name, value in limits.items():
            (folder / name).write_text(value, encoding="utf-8")
        yield functools.partial(_enter, folder)
    finally:
        folder.rmdir()


def _enter(cgroup: Path) -> None:
    (cgroup / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")


if __name__ == "__main__":
    main()
