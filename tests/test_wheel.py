"""What users install: the wheel has exactly the package, and equal sources give equal bytes."""

import json
import os
import re
import subprocess
import sys
import zipfile
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.photos.drawing.sample import draw

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


@pytest.mark.slow
def test_a_light_installation_needs_only_what_the_wheel_names(wheel: Path, tmp_path: Path) -> None:
    """In a new virtual environment, as pipx and uvx make one, with the packages that the wheel's metadata names."""
    run = [sys.executable, "-m", "uv", "--quiet", "--offline", "--no-cache", "--no-config"]
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([*run, "venv", "--python", sys.executable, tmp_path / "venv"], check=True)
    subprocess.run([*run, "pip", "install", "--no-deps", "--python", python, wheel], check=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    link_dependencies(site, "dogvscat")
    draw("cat", 1, 200).save(tmp_path / "cat.png")
    light = partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, check=False)
    program = tmp_path / "venv" / "bin" / "dogvscat"
    answer = light([program, "predict", "--json", "cat.png"])
    assert answer.returncode == 0, answer.stderr
    (expected,) = Predictor.load().predict([tmp_path / "cat.png"])
    assert isinstance(expected, Prediction)
    assert json.loads(answer.stdout)["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    for command in ("sample drawings --count 4", "audit drawings --out audit", "export --format onnx --out onnx"):
        process = light([program, *command.split()])
        assert process.returncode == 0, process.stderr
    refused = light([program, "serve"])
    assert refused.returncode == 2
    assert "hint: Install it with: pip install 'dogvscat[serve]'" in refused.stderr


def link_dependencies(site: Path, package: str) -> None:
    """Let a folder of packages have those that one of its packages needs without extras, and what they need."""
    pending, linked = [package], {package}
    while pending:
        name = pending.pop()
        places = [str(site)] if name == package else None
        (distribution, *_) = distributions(name=name, path=places) if places else distributions(name=name)
        if name != package:
            # Bytecode, scripts and metadata lie next to the modules; what is in a folder is linked with the folder.
            entries = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
            for entry in entries:
                if not (site / entry).exists():
                    (site / entry).symlink_to(str(distribution.locate_file(entry)))
        for requirement in map(Requirement, distribution.requires or ()):
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if needed and requirement.name not in linked:
                linked.add(requirement.name)
                pending.append(requirement.name)


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
