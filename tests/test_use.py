"""Every example in docs/use.md runs as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

PAGE = (Path(__file__).parent.parent / "docs" / "use.md").read_text(encoding="utf-8")
COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXPECTED_CODES = {"dogvscat predict photos/ broken.jpg missing.jpg": 3}

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def desk(tmp_path: Path, drawn_photos: Path, untouched_bundle: Path) -> Path:
    """A folder with what the page takes for granted: a photo, photos, a broken file and a network of one's own.

    The photo is a real one where there are real ones.
    """
    for file in (file for name in ("cat", "dog") for file in sorted((drawn_photos / name).glob("*.jpg"))[:6]):
        (tmp_path / "photos" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "photos" / file.parent.name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    real = os.environ.get("DOGVSCAT_TEST_DATA")
    photo = min(Path(real, "photos", "dog").glob("*.jpg")) if real else min((drawn_photos / "dog").glob("*.jpg"))
    shutil.copy(photo, tmp_path / "photo.jpg")
    shutil.copytree(untouched_bundle, tmp_path / "runs" / "mine" / "bundle")
    return tmp_path


@pytest.fixture
def shell(desk: Path) -> Shell:
    """Runs a line of the page as a shell would, with `dogvscat` being the one under test."""
    program = desk / "bin" / "dogvscat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dogvscat "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            line, shell=True, cwd=desk, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_what_it_says(shell: Shell, desk: Path, command: str) -> None:
    done = shell(command)
    assert done.returncode == EXPECTED_CODES.get(command, 0), done.stderr
    assert "Traceback" not in done.stderr
    if "--json" in command:
        assert all("path" in json.loads(line) for line in done.stdout.splitlines())
    if "--out results" in command:
        assert (desk / command.split()[-1]).stat().st_size > 500
        again = shell(command)
        assert "12 photos have their answers" in again.stderr
    elif "--out why/" in command:
        assert list((desk / "why").glob("*-explained.jpg"))
        assert bool(list((desk / "why").glob("*/00-filters.png"))) == ("--layers" in command)
    else:
        assert done.stdout.count("\n") == {"photo.jpg": 1, "photo.jpg photos/": 13}.get(
            command.removeprefix("dogvscat predict ").removesuffix(" --model runs/mine"), 3 if "head" in command else 12
        )


def test_the_programs_run_one_after_the_other(desk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(PROGRAMS)],
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Prediction(path='photo.jpg', label=")
    assert lines[1].startswith("Failure(path='broken.jpg', code='unsupported_format'")
    assert [line.split()[0] for line in lines[2:6]] == ["photo.jpg", "picture", "picture", "picture"]
    probabilities = [float(line.split()[-1]) for line in lines[2:6]]
    assert probabilities[0] == probabilities[1] == probabilities[2]
    assert probabilities[3] == pytest.approx(probabilities[0], abs=0.07)
    assert 0 <= int(lines[6]) <= 12
    with Image.open(desk / "heat.png") as heat, Image.open(desk / "photo.jpg") as photo:
        assert heat.size == photo.size


def test_the_page_has_examples_of_both_kinds() -> None:
    assert len(COMMANDS) >= 11
    assert len(PROGRAMS) >= 4
