"""How many CPUs this process may use, and work for all of them. In a container these are often far fewer than the
machine has.

More threads than CPUs wait for each other: one photo then takes many times as long.
"""

import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 256
"""The most that `--threads` takes."""
_ITEMS_AHEAD = 8
"""For each thread, how many items are taken before their results are needed, so that a slow item holds up no thread."""


def available_cpus(root: Path = Path("/")) -> int:
    """The number of CPUs in this process's affinity mask, but no more than the quota of its cgroup, rounded up.

    Args:
        root: Folder with `proc` and the mounted cgroups.

    Returns:
        At least 1.
    """
    return max(1, min([_affinity_cpus(), *map(math.ceil, _quotas(root))]))


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 0) -> Iterator[Result]:
    """The results for some items, in their order, computed by several threads.

    Items are taken shortly before they are needed. The executor's own `map` takes all of them at once, which for a
    million items fills gigabytes before the first result.

    Args:
        function: Called by the threads.
        items: In any number.
        threads: 0 for one per CPU.
    """
    from concurrent.futures import ThreadPoolExecutor  # here, because every start of the program imports this file

    threads = threads or available_cpus()
    pool = ThreadPoolExecutor(threads)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= _ITEMS_AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, the rest is not computed


def _affinity_cpus() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; it respects PYTHON_CPU_COUNT as well
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """The quota of each cgroup that limits this process, as a number of CPUs; nothing on systems without cgroups.

    Source: docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`), docs.kernel.org/scheduler/sched-bwc.html (version 1)
    """
    cgroups = _own_cgroups(root)
    for controller, mounted_cgroup, mount_point in _cgroup_mounts(root):
        if controller not in cgroups:
            continue
        folder = root / mount_point.lstrip("/")
        # A container without a namespace for cgroups has only its own part of the tree mounted.
        relative = os.path.relpath(cgroups[controller], mounted_cgroup)
        parts = PurePosixPath("" if relative.startswith("..") else relative).parts
        for depth in range(len(parts) + 1):  # a cgroup cannot use more than those that it is part of
            yield from _quota(folder.joinpath(*parts[:depth]))


def _own_cgroups(root: Path) -> dict[str, str]:
    """The cgroup of this process by controller: `cpu` of version 1, or an empty name for the one tree of version 2."""
    cgroups = {}
    for line in _lines(root / "proc/self/cgroup"):  # such as 4:cpu,cpuacct:/docker/1f or 0::/user.slice
        _, controllers, cgroup = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            cgroups["cpu" if controllers else ""] = cgroup
    return cgroups


def _cgroup_mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """Controller, as in `_own_cgroups`, mounted cgroup and mount point of each tree that can have quotas."""
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split(" ")
        mounted_cgroup, mount_point = map(_unescape, mount.split(" ")[3:5])
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            yield "" if kind == "cgroup2" else "cpu", mounted_cgroup, mount_point


def _quota(folder: Path) -> Iterator[float]:
    """The quota of one cgroup as a number of CPUs, if it has one."""
    limits = " ".join(_lines(folder / "cpu.max")).split()  # quota and period in microseconds; the quota may be `max`
    if not limits:
        limits = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]  # version 1; -1: none
    if len(limits) == 2 and limits[0].isdecimal() and int(limits[1]) > 0:
        yield int(limits[0]) / int(limits[1])


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or no cgroups of this version
        return []


def _unescape(path: str) -> str:
    """A path of mountinfo, where a blank is written as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
