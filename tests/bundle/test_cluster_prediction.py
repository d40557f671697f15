"""`dogvscat predict --cluster`: the answers of one machine, in order, with bad files as rows."""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs the extra cluster")

Dogvscat = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path) -> Path:
    """300 photos, so that more than one block is handed out, and three files that are none."""
    folder = tmp_path_factory.mktemp("mixed") / "photos"
    folder.mkdir()
    drawn = sorted(drawn_photos.rglob("*.jpg"))
    for number in range(300):
        shutil.copy(drawn[number % len(drawn)], folder / f"{number:03d}.jpg")
    shutil.copy(drawn[0], os.fsencode(folder) + b"/odd\xff.jpg")
    (folder / "007.jpg").write_bytes(b"")
    (folder / "107.jpg").write_text("no photo")
    (folder / "299.jpg").write_bytes(drawn[0].read_bytes()[:200])
    return folder


def test_a_cluster_answers_as_one_machine_does_and_writes_a_table(
    dogvscat: Dogvscat, mixed: Path, drawn_photos: Path, quick_run: Path, tmp_path: Path
) -> None:
    what = ("predict", mixed, mixed / "missing.jpg", "--model", quick_run, "--json")
    alone = dogvscat(*what)
    spread = dogvscat(*what, "--cluster", "local", "--out", tmp_path / "answers.csv")
    assert (alone.returncode, spread.returncode) == (3, 3), spread.stderr
    assert spread.stdout == alone.stdout  # the same paths in the same order, and every number to the last digit
    assert "4 of 302 photos could not be used" in spread.stderr
    assert "Traceback" not in spread.stderr
    assert "ray" not in spread.stderr.lower()
    answers = [json.loads(line) for line in alone.stdout.splitlines()]
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [answer["path"] for answer in answers]
    for row, answer in zip(rows, answers, strict=True):
        if "error" in answer:
            assert (row["error"], row["message"]) == (answer["error"]["code"], answer["error"]["message"])
            assert row["label"] == row["cat"] == ""
        else:
            assert {name: float(row[name]) for name in ("cat", "dog")} == answer["probabilities"]
            assert (row["label"], row["error"]) == (answer["label"], "")
    assert [file.name for file in tmp_path.iterdir()] == ["answers.csv"]


def test_photos_by_url(dogvscat: Dogvscat, drawn_photos: Path, quick_run: Path) -> None:
    url = f"file://{drawn_photos}"
    model = ("--model", quick_run, "--json")
    alone = dogvscat("predict", drawn_photos, *model)
    spread = dogvscat("predict", url, f"{url}/missing.jpg", *model, "--cluster", "local")
    assert spread.returncode == 3, spread.stderr
    *answers, missing = [json.loads(line) for line in spread.stdout.splitlines()]
    expected = [json.loads(line) for line in alone.stdout.splitlines()]
    assert answers == [answer | {"path": f"file://{answer['path']}"} for answer in expected]
    message = "there is no such object"
    assert missing == {"path": f"{url}/missing.jpg", "error": {"code": "not_found", "message": message}}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "answers.csv"], "--out needs --cluster"),
        (["--out", "answers.xls", "--cluster", "local"], "expected --out as a file ending in .csv, .jsonl, .parquet"),
        (["nowhere://bucket", "--cluster", "local"], "nowhere://bucket cannot be reached: Protocol not known: nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_before_a_cluster_starts(
    dogvscat: Dogvscat, drawn_photos: Path, quick_run: Path, flags: list[str], message: str
) -> None:
    done = dogvscat("predict", drawn_photos, "--model", quick_run, *flags)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
