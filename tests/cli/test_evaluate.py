"""`dogvscat evaluate`: training photos are evaluated separately, and unusable photos are named."""

import json
from pathlib import Path

import pytest

from dogvscat.photos.drawing.sample import write_sample
from tests.helpers import QUICK, Dogvscat, plain_png, read_files, read_table

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


def test_photos_that_a_training_left_out_are_new_to_its_network(
    dogvscat: Dogvscat, drawn_photos: Path, tmp_path: Path
) -> None:
    file, run = tmp_path / "list.txt", tmp_path / "run"
    excluded = ["cat/0003.jpg", "cat/0009.jpg", "dog/0004.jpg"]
    file.write_text("\n".join(excluded))
    trained = dogvscat("train", drawn_photos, "--exclude", file, "--out", run, *QUICK)
    assert trained.returncode == 0, trained.stderr
    assert "list.txt: 3 photos" in trained.stderr
    paths = {row["path"] for row in read_table(run / "manifest.csv")}
    assert len(paths) == 45
    assert not paths & set(excluded)
    evaluated = dogvscat("evaluate", run, drawn_photos, "--only", file, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert {split: figures["n"] for split, figures in json.loads(evaluated.stdout)["metrics"].items()} == {"all": 3}
    # The list belongs to the run: photos that are decoded again for it are the same.
    dogvscat("cache", "--clear", "pixels")
    resumed = dogvscat("train", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    refused = dogvscat("evaluate", run, drawn_photos, "--only", tmp_path / "none.txt")
    assert refused.returncode == 3
    assert "none.txt cannot be read" in refused.stderr


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
        ("{bundle} {wolves}", 3, 'add --class-names "cat=FOLDER,dog=FOLDER"'),
        ("{bundle} {wolves} --class-names cat", 2, "--class-names: expected CLASS=FOLDER, received 'cat'"),
        ("{bundle} {wolves} --class-names cat=wolf,dog=wolf", 2, "the folder wolf cannot mean both cat and dog"),
        (
            "{bundle} {wolves} --class-names cat=wolf,pup=husky",
            3,
            "the photos show cat and pup, but the model knows cat",
        ),
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


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("Katzen", "Hunde"), []),
        (("Ka\u0308tzchen", "Hu\u0308ndchen"), []),
        (("zoë", "Alma"), ["--class-names", "cat=ZOE\u0308, dog=alma"]),
        (("dog", "cat"), ["--class-names", "cat=dog,dog=cat"]),
    ],
)
def test_folders_with_other_names_mean_the_classes_of_the_model(
    dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path, names: tuple[str, str], options: list[str]
) -> None:
    """The bundle answers cat for blue and dog for red: whatever the folders are called, it is right each time."""
    for name, blue, red in zip(names, (255, 0), (0, 255), strict=True):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(plain_png((red, number, blue)))
    before = read_files(tmp_path)
    result = dogvscat("evaluate", untouched_bundle, tmp_path / "photos", "--json", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["metrics"]["all"]["figures"]["accuracy"]["value"] == 1.0
    assert document["metrics"]["all"]["class_names"] == ["cat", "dog"]
    assert document["out"] is None
    if options:
        result = dogvscat("audit", tmp_path / "photos", "--json", *options, cwd=tmp_path)
        assert json.loads(result.stdout)["photos"] == {"cat": 3, "dog": 3}
    assert read_files(tmp_path) == before  # without --out nothing is written


def test_without_a_folder_the_figures_are_printed(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    with_folder = dogvscat("evaluate", untouched_bundle, drawn_photos, "--out", tmp_path / "out")
    without = dogvscat("evaluate", untouched_bundle, drawn_photos, cwd=tmp_path)
    assert (without.returncode, without.stdout) == (with_folder.returncode, with_folder.stdout)
    assert "Add --out FOLDER" in without.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
