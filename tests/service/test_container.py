"""Containerfile and compose.yaml, as far as they can be checked without a container runtime."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def instruction(name: str) -> str:
    """The last instruction of this name: that of the image itself, not of the stage that builds it."""
    return re.findall(rf"^{name} (.*)$", CONTAINERFILE, re.MULTILINE)[-1]


def test_the_health_check_tells_a_ready_service_from_none(linear: Any) -> None:
    program, *arguments = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert program == "python"

    def check(port: int) -> int:
        command = [argument.replace(":8000/", f":{port}/") for argument in arguments]
        return subprocess.run([sys.executable, *command], stderr=subprocess.DEVNULL, timeout=60, check=False).returncode

    assert check(linear.port) == 0
    assert check(1) != 0


def test_the_image_starts_the_service_without_root() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["dogvscat"]
    arguments = json.loads(instruction("CMD"))
    process = subprocess.run([sys.executable, "-m", "dogvscat", *arguments, "--help"], capture_output=True, check=False)
    assert process.returncode == 0
    assert instruction("USER") == "10001:10001"
    assert re.search(r"DOGVSCAT_HOME=/tmp/", instruction("ENV"))


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major, minor = map(int, instruction("ARG").removeprefix("PYTHON=").split("."))
    assert project["requires-python"] == ">=3.11,<3.15"
    assert (3, 11) <= (major, minor) < (3, 15)


def test_compose_gives_the_service_no_rights_that_it_does_not_need() -> None:
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["dogvscat"]
    assert service["build"]["dockerfile"] == "Containerfile"
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]
