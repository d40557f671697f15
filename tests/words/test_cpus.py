"""CPUs of this process: its affinity, and the quotas of cgroups as systemd, Docker, Podman and Kubernetes set them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dogvscat.cpus import available_cpus

V2_MOUNT = "31 24 0:26 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "33 25 0:30 {root} {point} rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
OTHER_MOUNTS = """22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
35 25 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
23 22 0:21 / /proc rw - proc proc rw
"""


def fake_machine(root: Path, cgroup: str, mount: str, limits: dict[str, str]) -> Path:
    """A folder with the files of `proc` and of the cgroups that name the limits of a process."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text(f"{OTHER_MOUNTS}{mount}\n")
    for name, content in limits.items():
        file = root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


V2 = V2_MOUNT.format(root="/", point="/sys/fs/cgroup")
V1 = V1_MOUNT.format(root="/", point="/sys/fs/cgroup/cpu,cpuacct")
OWN_V1 = "9:cpuset:/\n4:cpu,cpuacct:/docker/1f\n0::/\n"


@pytest.mark.parametrize(
    ("cgroup", "mount", "limits", "expected"),
    [
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "200000 100000"}, 2, id="a container of its own"),
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "150000 100000"}, 2, id="rounded up"),
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "10000 100000"}, 1, id="at least one"),
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "max 100000"}, 64, id="no limit"),
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "9900000 100000"}, 64, id="more than the machine has"),
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "50000 10000"}, 5, id="another period"),
        pytest.param("0::/\n", V2, {}, 64, id="the root of the tree has no file"),
        pytest.param(
            "0::/user.slice/job 1.service\n",
            V2,
            {
                "/sys/fs/cgroup/user.slice/cpu.max": "300000 100000",
                "/sys/fs/cgroup/user.slice/job 1.service/cpu.max": "max 100000",
            },
            3,
            id="the limit of a cgroup above",
        ),
        pytest.param(
            "0::/a/b\n",
            V2,
            {"/sys/fs/cgroup/a/cpu.max": "800000 100000", "/sys/fs/cgroup/a/b/cpu.max": "700000 100000"},
            7,
            id="the smaller of both",
        ),
        pytest.param(
            "0::/kubepods/pod1\n",
            V2_MOUNT.format(root="/kubepods/pod1", point="/sys/fs/cgroup"),
            {"/sys/fs/cgroup/cpu.max": "400000 100000"},
            4,
            id="only its own part of the tree is mounted",
        ),
        pytest.param(
            "0::/../../other\n", V2, {"/sys/fs/cgroup/cpu.max": "400000 100000"}, 4, id="outside of its namespace"
        ),
        pytest.param(
            "0::/\n",
            V2_MOUNT.format(root="/", point="/mnt/my\\040cgroups"),
            {"/mnt/my cgroups/cpu.max": "400000 100000"},
            4,
            id="mounted elsewhere",
        ),
        pytest.param(
            OWN_V1,
            V1,
            {
                "/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "250000",
                "/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            3,
            id="version 1",
        ),
        pytest.param(
            OWN_V1,
            V1_MOUNT.format(root="/docker/1f", point="/sys/fs/cgroup/cpu"),
            {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            1,
            id="version 1 in Docker",
        ),
        pytest.param(
            OWN_V1,
            V1,
            {"/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "-1"},
            64,
            id="version 1 without limit",
        ),
        pytest.param("0::/\n", V2, {"/sys/fs/cgroup/cpu.max": "what is this"}, 64, id="not understood"),
    ],
)
def test_the_quota_of_the_cgroup_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cgroup: str,
    mount: str,
    limits: dict[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    assert available_cpus(fake_machine(tmp_path, cgroup, mount, limits)) == expected


def test_without_cgroups_the_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 8}, raising=False)
    assert available_cpus(tmp_path) == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cpus(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus(tmp_path) == 1


@pytest.mark.skipif(not shutil.which("taskset"), reason="needs taskset")
def test_a_process_pinned_to_one_cpu_uses_one_thread(untouched_bundle: Path) -> None:
    code = (
        "import sys, dogvscat.cpus as c; from dogvscat import Predictor;"
        "p = Predictor.load(sys.argv[1]); p.predict([]); print(c.available_cpus(), p.threads)"
    )
    first = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(first), sys.executable, "-c", code, str(untouched_bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "1 1\n"


def test_no_other_code_counts_cpus() -> None:
    package = Path(__file__).parents[2] / "src" / "dogvscat"
    counting = [file.name for file in package.rglob("*.py") if "cpu_count" in file.read_text(encoding="utf-8")]
    assert counting == ["cpus.py"]
