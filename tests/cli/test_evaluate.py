"""`dogvscat evaluate`: training photos are evaluated separately, and unusable photos are named."""

import json
from pathlib import Path

import pytest

from dogvscat.photos.drawing import write_sample
from tests.helpers import Dogvscat, read_files, read_table

pytestmark = pytest.mark.slow

FILES = {
    "metrics.json",
    "predictions.csv",
    "report.html",
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "roc.png",
    "reliability.png",
    "mistakes.png",
}


def test_photos_that_a_run_was_trained_on_are_evaluated_separately(
    dogvscat: Dogvscat, quick_run: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    before = read_files(quick_run)
    result = dogvscat("evaluate", quick_run, drawn_photos, "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    metrics = json.loads(result.stdout)["metrics"]
    manifest = read_table(quick_run / "manifest.csv")
    for split in ("train", "validation"):
        assert metrics[split]["n"] == sum(row["split"] == split for row in manifest)
    assert metrics.keys() == {"train", "validation"}
    assert "of these photos; they are evaluated separately" in result.stderr
    # The exported graph and the network at the end of training give the same figures for what it learned from.
    at_the_end = json.loads((quick_run / "metrics.json").read_text())
    expected, received = at_the_end["train"]["figures"]["log_loss"], metrics["train"]["figures"]["log_loss"]
    assert received["value"] == pytest.approx(expected["value"], abs=1e-4)
    assert read_files(quick_run) == before


def test_new_photos_are_one_split_with_all_files(dogvscat: Dogvscat, quick_run: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "new", 20, seed=9, image_size=64)
    result = dogvscat("evaluate", quick_run, tmp_path / "new", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("all        accuracy ")
    assert "n = 20" in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} >= FILES
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    predictions = read_table(tmp_path / "out" / "predictions.csv")
    assert metrics["all"]["n"] == len(predictions) == 20
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "pictures drawn by code, not photographs" in page


def test_photos_that_cannot_be_read_are_listed_and_the_rest_is_evaluated(
    dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path
) -> None:
    write_sample(tmp_path / "new", 12, seed=9, image_size=64)
    (tmp_path / "new" / "cat" / "broken.jpg").write_bytes(b"text")
    (tmp_path / "new" / "dog" / "empty.jpg").write_bytes(b"")
    result = dogvscat("evaluate", untouched_bundle, tmp_path / "new", "--out", tmp_path / "out")
    assert result.returncode == 3
    assert "n = 12" in result.stdout
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "cat/broken.jpg: is not a picture of a known format" in errors[0]
    assert "dog/empty.jpg: the file is empty" in errors[1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("{bundle} {wolves} --out out", 3, "error: the photos show husky and wolf, but the model knows cat and dog"),
        ("{bundle} {wolves} --out {bundle}", 2, "is a run folder or a bundle and is not overwritten"),
        ("{bundle} {wolves}", 2, "error: Missing option '--out'"),
    ],
)
def test_other_classes_and_used_folders_are_refused(
    dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path, arguments: str, code: int, error: str
) -> None:
    for name in ("husky", "wolf"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"never looked at")
    result = dogvscat("evaluate", *arguments.format(bundle=untouched_bundle, wolves=tmp_path).split(), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert error in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["husky", "wolf"]
