"""What users install: the wheel has exactly the package, and equal sources give equal bytes."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PERMISSIVE = ("MIT", "BSD", "APACHE", "ISC", "PSF", "PYTHON SOFTWARE FOUNDATION", "ZLIB", "MPL", "MOZILLA PUBLIC")
STATES_NONE = {"namex"}
"""Its metadata names no license; its repository says Apache 2.0."""


def build(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_a_wheel_has_the_files_of_the_package_and_no_others(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "src/dogvscat"], cwd=ROOT, capture_output=True, text=True, check=False)
    if not listed.stdout:
        pytest.skip("a git checkout is needed")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith("dogvscat-")}
        about = {name.partition("/")[2] for name in archive.namelist() if name.startswith("dogvscat-")}
    assert names == {name.removeprefix("src/") for name in listed.stdout.splitlines()}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert {"dogvscat/models/best/SHA256SUMS", "dogvscat/recipes/fast.toml", "dogvscat/cli/main.py"} <= names


def test_equal_sources_give_equal_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()


def test_the_bill_of_materials_lists_what_the_locks_have(wheel: Path) -> None:
    subprocess.run([sys.executable, ROOT / "requirements" / "sbom.py", wheel], capture_output=True, check=True)
    (file,) = wheel.parent.glob("*.cdx.json")
    document = json.loads(file.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    # A package may have a version per Python.
    components = {(component["name"], component["version"]): component for component in document["components"]}
    names = {name for name, _ in components}
    assert {"numpy", "pillow", "onnxruntime", "keras", "ray", "fastapi", "cryptography"} <= names
    assert "pytest" not in names
    locked = (ROOT / "requirements" / "light.txt").read_text()
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;]+)", locked, re.MULTILINE):
        properties = components[name, version]["properties"]
        assert any(entry["value"] in locked for entry in properties if "sha256" in entry["name"])


def test_packages_that_a_wheel_brings_have_permissive_licenses(wheel: Path) -> None:
    """None asks for the source of programs that use it. pillow-heif's wheels contain such libraries; pyproject.toml
    says so, and its extra is of its own."""
    subprocess.run([sys.executable, ROOT / "requirements" / "sbom.py", wheel], capture_output=True, check=True)
    (file,) = wheel.parent.glob("*.cdx.json")
    stated = {
        component["name"]: component["licenses"][0]["license"]["name"]
        for component in json.loads(file.read_text())["components"]
        if "licenses" in component
    }
    assert len(stated) > 20  # this installation has them
    unexpected = {
        name: text
        for name, text in stated.items()
        if (name not in STATES_NONE and not any(word in text.upper() for word in PERMISSIVE)) or "GPL" in text.upper()
    }
    assert unexpected == {}
