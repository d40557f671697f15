"""Which photos are judged as what, which are not judged, and where results may go; figures are the judging room's."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from dogvscat.bundle.evaluation import Evaluation, evaluate
from dogvscat.errors import DataError, ModelError, UsageError, WriteError
from dogvscat.photos.reading.sources import open_photos
from tests.helpers import read_files, read_table

pytestmark = pytest.mark.slow


def judged(model: Path, photos: Path, out: Path) -> tuple[Evaluation, str]:
    said: list[str] = []
    evaluation = evaluate(model, open_photos(photos), out, said.append)
    return evaluation, " ".join(said)


@pytest.fixture
def run(bundle: Path, drawn_photos: Path, tmp_path: Path) -> Path:
    """A run folder with the bundle that learned from 40 of the drawn photos, was validated on 6, and left out 2."""
    import hashlib

    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copytree(bundle, folder / "bundle")
    names = ("path", "label", "sha256", "perceptual_hash", "size", "mode", "group", "split", "issues")
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, names, restval="x")
        table.writeheader()
        for number, photo in enumerate(sorted(drawn_photos.rglob("*.jpg"))):
            split = "" if number % 24 == 0 else "validation" if number % 8 == 1 else "train"
            digest = hashlib.sha256(photo.read_bytes()).hexdigest()
            table.writerow(
                {
                    "path": photo.name,
                    "label": photo.parent.name,
                    "sha256": digest,
                    "perceptual_hash": "",
                    "group": digest[:16],
                    "split": split,
                }
            )
    return folder


@pytest.mark.parametrize("model", ["run", "run/bundle"])
def test_what_a_run_knows_is_judged_apart(run: Path, drawn_photos: Path, tmp_path: Path, model: str) -> None:
    """Whether the run folder is named or the bundle inside, and whatever the files are called now."""
    photos = Path(shutil.copytree(drawn_photos, tmp_path / "renamed"))
    for photo in list(photos.rglob("*.jpg")):
        photo.rename(photo.with_name(f"renamed {photo.name}"))
    evaluation, said = judged(tmp_path / model, photos, tmp_path / "out")
    assert {name: result.n for name, result in evaluation.results.items()} == {"validation": 6, "train": 40}
    assert "The model was trained on 40 of these photos" in said
    assert "2 of these photos were left out of the model's run" in said
    predictions = read_table(tmp_path / "out" / "predictions.csv")
    assert len(predictions) == 46


def test_photos_saved_again_at_another_size_are_known_too(quick_run: Path, drawn_photos: Path, tmp_path: Path) -> None:
    for photo in drawn_photos.rglob("*.jpg"):
        copy = tmp_path / "larger" / photo.parent.name / f"{photo.stem}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as image:
            image.resize((150, 90)).save(copy)
    evaluation, _ = judged(quick_run, tmp_path / "larger", tmp_path / "out")
    assert {name: result.n for name, result in evaluation.results.items()} == {"validation": 5, "train": 43}


def test_a_bundle_alone_knows_no_photos(bundle: Path, drawn_photos: Path, tmp_path: Path) -> None:
    evaluation, said = judged(bundle, drawn_photos, tmp_path / "out")
    assert {name: result.n for name, result in evaluation.results.items()} == {"all": 48}
    assert "cannot be recognized" in said


def test_newer_results_take_the_place_of_older_ones(bundle: Path, drawn_photos: Path, tmp_path: Path) -> None:
    judged(bundle, drawn_photos, tmp_path / "out")
    first = read_files(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").write_text("{}")
    judged(bundle, drawn_photos, tmp_path / "out")
    assert read_files(tmp_path / "out").keys() == first.keys()
    for name in ("metrics.json", "predictions.csv"):
        assert read_files(tmp_path / "out")[name] == first[name]


def test_a_run_or_a_bundle_is_never_overwritten(bundle: Path, drawn_photos: Path, tmp_path: Path) -> None:
    before = read_files(bundle)
    with pytest.raises(UsageError, match="bundle is a run folder or a bundle and is not overwritten"):
        judged(bundle, drawn_photos, bundle)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.toml").write_text("")
    with pytest.raises(UsageError, match="is not overwritten"):
        judged(bundle, drawn_photos, unfinished)
    assert read_files(bundle) == before
    assert [path.name for path in unfinished.iterdir()] == ["config.toml"]


def test_results_that_have_no_place_are_refused_before_any_photo_is_read(
    bundle: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WriteError, match=r"could not write .*file: Not a directory"):
        judged(bundle, drawn_photos, tmp_path / "file")
    with pytest.raises(WriteError, match=r"could not write .*below: Not a directory"):
        judged(bundle, drawn_photos, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"


def test_without_a_readable_photo_or_a_model_there_is_no_evaluation(
    bundle: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    for name in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / "broken" / name).parent.mkdir(parents=True)
        (tmp_path / "broken" / name).write_bytes(b"text")
    with pytest.raises(DataError, match="none of 2 photos can be evaluated"):
        judged(bundle, tmp_path / "broken", tmp_path / "out")
    with pytest.raises(ModelError, match="holds no bundle"):
        judged(drawn_photos, drawn_photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()
