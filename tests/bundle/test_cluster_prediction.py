"""`dogvscat predict --cluster`: the answers of one machine, in order, with bad files as rows."""

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers import Dogvscat, json_lines

pytest.importorskip("ray", reason="needs the extra cluster")
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path) -> Path:
    """300 photos, so that more than one block is handed out, and three files that are none."""
    folder = tmp_path_factory.mktemp("mixed") / "photos"
    folder.mkdir()
    drawn = sorted(drawn_photos.rglob("*.jpg"))
    for number in range(300):
        shutil.copy(drawn[number % len(drawn)], folder / f"{number:03d}.jpg")
    shutil.copy(drawn[0], os.fsdecode(os.fsencode(folder) + b"/odd\xff.jpg"))
    (folder / "007.jpg").write_bytes(b"")
    (folder / "107.jpg").write_text("no photo")
    (folder / "299.jpg").write_bytes(drawn[0].read_bytes()[:200])
    return folder


def test_a_cluster_answers_as_one_machine_does(dogvscat: Dogvscat, mixed: Path, quick_run: Path) -> None:
    what = ("predict", mixed, mixed / "missing.jpg", "--model", quick_run, "--json")
    alone, spread = dogvscat(*what), dogvscat(*what, "--cluster", "local")
    assert (alone.returncode, spread.returncode) == (3, 3), spread.stderr
    assert spread.stdout == alone.stdout  # the same paths in the same order, and every number to the last digit
    assert "4 of 302 photos could not be used" in spread.stderr
    assert "Traceback" not in spread.stderr
    assert "ray" not in spread.stderr.lower()


def test_a_file_of_results_begun_alone_is_finished_by_a_cluster(
    dogvscat: Dogvscat, mixed: Path, quick_run: Path, tmp_path: Path
) -> None:
    what = ("predict", mixed, "--model", quick_run, "--out")
    assert dogvscat(*what, tmp_path / "alone.csv").returncode == 3
    whole = (tmp_path / "alone.csv").read_bytes()
    (tmp_path / "both.csv").write_bytes(whole[: len(whole) // 2])
    spread = dogvscat(*what, tmp_path / "both.csv", "--cluster", "local")
    assert spread.returncode == 3, spread.stderr
    assert (tmp_path / "both.csv").read_bytes() == whole


def test_photos_by_url(dogvscat: Dogvscat, drawn_photos: Path, quick_run: Path) -> None:
    url = f"file://{drawn_photos}"
    model = ("--model", quick_run, "--json")
    alone = dogvscat("predict", drawn_photos, *model)
    spread = dogvscat("predict", url, f"{url}/missing.jpg", *model, "--cluster", "local")
    assert spread.returncode == 3, spread.stderr
    *answers, missing = json_lines(spread.stdout)
    expected = json_lines(alone.stdout)
    assert answers == [answer | {"path": f"file://{answer['path']}"} for answer in expected]
    message = "there is no such object"
    assert missing == {"path": f"{url}/missing.jpg", "error": {"code": "not_found", "message": message}}


def test_a_place_that_nobody_knows_is_named(dogvscat: Dogvscat, quick_run: Path) -> None:
    done = dogvscat("predict", "nowhere://bucket", "--model", quick_run, "--cluster", "local")
    assert done.returncode == 2, done.stderr
    assert "nowhere://bucket cannot be reached: Protocol not known: nowhere" in done.stderr
