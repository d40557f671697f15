"""What can be installed on which Python: the locked files, and the check that comes before them."""

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = {
    "Linux": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    "Linux on Arm": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "aarch64"},
    "macOS": {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
}


def read_lock(name: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if not line.startswith(" ")]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_locked_file_has_one_version_of_each_package_on_every_python(python: str, machine: str) -> None:
    environment = {**MACHINES[machine], "python_version": python, "python_full_version": f"{python}.0"}
    locked = [line for line in read_lock("dev.txt") if line.marker is None or line.marker.evaluate(environment)]
    versions = Counter(line.name for line in locked)
    assert set(versions.values()) == {1}
    assert versions["tensorflow"] + versions["tensorflow-cpu"] == 1
    assert versions["keras"] == 1
    assert "keras-nightly" not in versions, "its files would lie among those of keras"
    # What the project asks for itself is there, and in a version that it accepts.
    pins = {line.name: next(iter(line.specifier)).version for line in locked}
    for wanted in (
        Requirement(text) for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["train"]]
    ):
        if wanted.marker is None or wanted.marker.evaluate(environment):
            assert wanted.specifier.contains(pins[wanted.name], prereleases=True), wanted


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    supported = SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in range(40) if f"3.{minor}" in supported] == [11, 12, 13, 14]
    prefix = "Programming Language :: Python :: "
    assert [text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(prefix)] == [*PYTHONS]
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "code"), [((2, 7), 1), ((3, 10), 1), ((3, 11), 0), ((3, 14), 0), ((3, 15), 1), ((4, 0), 1)]
)
def test_another_python_is_refused_with_one_sentence(version: tuple[int, int], code: int) -> None:
    pretended = ".".join(map(str, version))
    script = (
        f"import runpy, sys; sys.version_info = {version}; sys.version = '{pretended}.1 (main)'; "
        f"runpy.run_path({str(ROOT / 'requirements' / 'check_python.py')!r})"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    message = f"error: Python 3.11 to 3.14 is needed, and this is {pretended}.1. Name another one: "
    assert (process.returncode, process.stderr) == (code, f"{message}make PYTHON=python3.14 ...\n" if code else "")
