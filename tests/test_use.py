"""Every example in docs/use.md runs as it stands there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parent.parent / "docs" / "use.md").read_text(encoding="utf-8")
LINES = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SERVING = [line for line in LINES if line.startswith("dogvscat serve")]
ASKING = [line for line in LINES if line.startswith("curl")]
COMMANDS = [line for line in LINES if line not in {*SERVING, *ASKING}]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
EXPECTED_CODES = {"dogvscat predict photos/ broken.jpg missing.jpg": 3}

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def desk(tmp_path: Path, drawn_photos: Path, untouched_bundle: Path) -> Path:
    """A folder with what the page takes for granted: photos, a broken file, a token and a network of one's own.

    The photo is a real one where there are real ones.
    """
    for file in (file for name in ("cat", "dog") for file in sorted((drawn_photos / name).glob("*.jpg"))[:6]):
        (tmp_path / "photos" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "photos" / file.parent.name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "tokens.txt").write_text("a-token-of-23-characters\n")
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
    result = shell(command)
    assert result.returncode == EXPECTED_CODES.get(command, 0), result.stderr
    assert "Traceback" not in result.stderr
    if "--json" in command:
        assert all("path" in json.loads(line) for line in result.stdout.splitlines())
    if "--out results" in command:
        assert (desk / command.split()[-1]).stat().st_size > 500
        again = shell(command)
        assert "already has the answers for 12 photos" in again.stderr
    elif "export" in command:
        assert (desk / command.split()[-1] / "model.onnx").is_file()
    elif "--out why/" in command:
        assert list((desk / "why").glob("*-explained.jpg"))
        assert bool(list((desk / "why").glob("*/00-filters.png"))) == ("--layers" in command)
    else:
        assert result.stdout.count("\n") == {"photo.jpg": 1, "photo.jpg photos/": 13}.get(
            command.removeprefix("dogvscat predict ").removesuffix(" --model runs/mine"), 3 if "head" in command else 12
        )


def test_the_programs_run_one_after_the_other(desk: Path) -> None:
    programs = [program for program in PROGRAMS if ADDRESS not in program]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(programs)],
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Prediction(path='photo.jpg', label=")
    assert lines[1].startswith("Failure(path='broken.jpg', code='unsupported_format'")
    assert [line.split()[0] for line in lines[2:6]] == ["photo.jpg", "picture", "picture", "picture"]
    probabilities = [float(line.split()[-1]) for line in lines[2:6]]
    assert probabilities[0] == probabilities[1] == probabilities[2]
    assert probabilities[3] == pytest.approx(probabilities[0], abs=0.07)
    assert 0 <= int(lines[6]) <= 12
    with Image.open(desk / "heat.png") as heat, Image.open(desk / "photo.jpg") as photo:
        assert heat.size == photo.size


@contextmanager
def serving(command: str, desk: Path) -> Iterator[str]:
    """The address of a service that a line of the page starts, at a port that is free; it must end well."""
    arguments = [*shlex.split(command)[1:], "--port", "0"]
    with (
        (desk / "log.txt").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "dogvscat", *arguments], cwd=desk, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0, (desk / "log.txt").read_text()


@pytest.mark.parametrize("command", SERVING)
def test_a_service_that_the_page_starts_answers(desk: Path, command: str) -> None:
    with serving(command, desk) as address, urlopen(f"{address}/v2/health/ready") as response:
        assert response.status == 200


def test_what_the_page_asks_a_service_is_answered_as_it_says(desk: Path, shell: Shell) -> None:
    with serving("dogvscat serve", desk) as address:
        answers: dict[str, Any] = {}
        for command in ASKING:
            result = shell(command.replace(ADDRESS, address).replace("curl", "curl --silent --show-error", 1))
            assert result.returncode == 0, result.stderr
            path = command.split("127.0.0.1:8000")[1].rstrip("'")
            answers[command] = result.stdout if path == "/metrics" else json.loads(result.stdout)
        program = "\n".join(program for program in PROGRAMS if ADDRESS in program).replace(ADDRESS, address)
        result = subprocess.run([sys.executable, "-c", program], cwd=desk, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    one, form, explained, model, openapi, metrics, ready, named, refused = answers.values()
    (single,) = one["predictions"]
    assert (single["name"], set(single["probabilities"])) == ("picture", {"cat", "dog"})
    photo, broken = form["predictions"]
    assert photo == {**single, "name": "photo.jpg"}
    assert broken["error"]["code"] == "unsupported_format"
    assert explained["predictions"][0]["heat_map"].startswith("data:image/png;base64,")
    assert model["name"] == named["name"] == "best"
    assert "/api/v1/predict" in openapi["paths"]
    assert "# HELP" in metrics
    assert ready["ready"] is True
    assert (refused["status"], refused["code"]) == (415, "unsupported_format")
    assert result.stdout.split() == ["photo.jpg", photo["label"], str(photo["probabilities"]["dog"])]


def test_the_page_has_examples_of_all_kinds() -> None:
    assert len(COMMANDS) >= 13
    assert len(PROGRAMS) >= 5
    assert len(SERVING) >= 3
    assert len(ASKING) >= 9
