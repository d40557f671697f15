"""`--isolate` of predict, explain and audit: the same answers as without it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import Dogvscat, draw_photos, encoded, read_files

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cats, two dogs, a damaged photo and an empty one."""
    folder = draw_photos(tmp_path / "photos", range(2), 64)
    (folder / "cat/cut short.jpg").write_bytes(encoded(Image.new("RGB", (90, 90)), "JPEG")[:400])
    (folder / "dog/empty.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_answers_are_the_same(command: str, photos: Path, untouched_bundle: Path, dogvscat: Dogvscat) -> None:
    outputs = []
    for isolate in ([], ["--isolate"]):
        out = ["--out", "explained"] if command == "explain" else []
        process = dogvscat(command, photos, "--model", untouched_bundle, *out, *isolate, cwd=photos.parent)
        pictures = read_files(photos.parent / "explained") if out else {}
        outputs.append((process.returncode, process.stdout, process.stderr, pictures))
    assert outputs[0] == outputs[1]
    assert outputs[0][0] == 3
    assert "empty.png: the file is empty" in outputs[0][2]


def test_issues_are_the_same(photos: Path, tmp_path: Path, dogvscat: Dogvscat, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = []
    for number, isolate in enumerate(([], ["--isolate"])):
        monkeypatch.setenv("DOGVSCAT_HOME", str(tmp_path / f"home{number}"))  # so that both scan the photos
        process = dogvscat("audit", photos, "--json", "--out", tmp_path / "audit", *isolate)
        assert process.returncode == 0
        outputs.append((json.loads(process.stdout), read_files(tmp_path / "audit")))
    assert outputs[0] == outputs[1]
    assert outputs[0][0]["issues"]["unreadable"] == 1


def test_isolation_is_for_this_machine(dogvscat: Dogvscat) -> None:
    process = dogvscat("predict", "x.jpg", "--isolate", "--cluster", "local")
    assert process.returncode == 2
    assert "--isolate decodes in processes on this machine" in process.stderr
