"""`dogvscat train` from drawn photos to a run folder."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import QUICK, Dogvscat, json_lines, read_table

pytestmark = pytest.mark.slow

RUN_FILES = {
    "config.toml",
    "environment.json",
    "manifest.csv",
    "history.csv",
    "metrics.json",
    "predictions.csv",
    "learning_curves.png",
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "roc.png",
    "reliability.png",
    "mistakes.png",
    "augmentation.png",
    "report.html",
    "bundle/card.json",
    "bundle/model.onnx",
}


def test_a_run_folder_holds_what_the_design_names(quick_run: Path) -> None:
    missing = {name for name in RUN_FILES if not (quick_run / name).is_file()}
    assert missing == set()


def test_drawn_pictures_are_marked_in_every_output(quick_run: Path) -> None:
    assert json.loads((quick_run / "environment.json").read_text())["drawn_sample"] is True
    assert json.loads((quick_run / "bundle" / "card.json").read_text())["origin"]["drawn_sample"] is True
    assert "pictures drawn by code, not photographs" in (quick_run / "report.html").read_text()


@pytest.fixture(scope="module")
def wary_run(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> Path:
    """A run that was also trained on pictures of noise, which show neither class; 8 of 24 were held out."""
    folder = tmp_path_factory.mktemp("wary")
    (folder / "noise").mkdir()
    for number in range(24):
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 64)).save(folder / "noise" / f"{number}.png")
    result = dogvscat("train", drawn_photos, "--neither", folder / "noise", "--out", folder / "run", *QUICK)
    assert result.returncode == 0, result.stderr
    assert (
        "photos that show neither class: 16 to learn from, 8 held out to measure how many are recognised"
        in result.stderr
    )
    assert "n = 8" in result.stdout.splitlines()[-1]
    return folder / "run"


def test_recognising_neither_is_measured_on_held_out_photos(wary_run: Path) -> None:
    metrics = json.loads((wary_run / "metrics.json").read_text())["neither"]["figures"]
    card = json.loads((wary_run / "bundle" / "card.json").read_text())
    assert metrics["unsure_rate"]["n"] == 8
    assert card["metrics"]["neither"] == metrics
    assert card["config"]["network"]["neither_output"] is True
    assert "used neither for training nor for any choice" in (wary_run / "report.html").read_text()
    assert "share answered `unsure` of photographs that show neither" in (wary_run / "bundle" / "README.md").read_text()


def test_predict_and_evaluate_use_the_second_output(
    wary_run: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    limit = json.loads((wary_run / "bundle" / "card.json").read_text())["neither_limit"]
    result = dogvscat("predict", "--json", "--model", wary_run, wary_run.parent / "noise", drawn_photos)
    answers = json_lines(result.stdout)
    assert len(answers) == 24 + 48
    assert all(answer["label"] == "unsure" for answer in answers if answer["neither"] > limit)
    assert "neither" in dogvscat("predict", "--model", wary_run, drawn_photos / "cat").stdout
    evaluated = dogvscat("evaluate", wary_run, drawn_photos, "--out", tmp_path / "evaluation")
    assert evaluated.returncode == 0, evaluated.stderr
    table = read_table(tmp_path / "evaluation" / "predictions.csv")
    unsure = {Path(row["path"]).parts[-2:]: row["unsure"] == "yes" for row in table}
    named = {Path(answer["path"]).parts[-2:]: answer["label"] == "unsure" for answer in answers}
    assert len(unsure) == 48
    assert unsure == {name: named[name] for name in unsure}


def test_a_run_with_photos_of_neither_class_is_evaluated_again_to_the_same_bits(
    wary_run: Path, dogvscat: Dogvscat
) -> None:
    kept = ("metrics.json", "predictions.csv", "bundle/model.onnx")
    before = [(wary_run / file).read_bytes() for file in kept]
    dogvscat("cache", "--clear", "pixels")  # so that the photos are decoded again
    result = dogvscat("train", "--resume", wary_run)
    assert result.returncode == 0, result.stderr
    assert [(wary_run / file).read_bytes() for file in kept] == before
    noise = wary_run.parent / "noise" / "0.png"
    moved = noise.rename(wary_run.parent / "0.png")
    dogvscat("cache", "--clear", "pixels")
    gone = dogvscat("train", "--resume", wary_run)
    moved.rename(noise)
    assert gone.returncode == 3
    assert "have changed since this run was started" in gone.stderr


def test_a_second_output_needs_photos_that_show_neither(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    result = dogvscat("train", drawn_photos, "--out", tmp_path / "run", "--set", "network.neither_output=true")
    assert result.returncode == 2
    assert "no photos that show neither class are given" in result.stderr
    assert "--neither" in result.stderr


def test_known_failures_go_into_the_model_card(wary_run: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    run = Path(shutil.copytree(wary_run, tmp_path / "run"))
    (run / "known_failures.md").write_text("- White cats on snow are called dogs.\n\n- Puppies from behind.\n")
    assert dogvscat("train", "--resume", run).returncode == 0
    page = (run / "bundle" / "README.md").read_text()
    assert "## Where it errs\n\n- White cats on snow are called dogs.\n- Puppies from behind.\n" in page
    card = json.loads((run / "bundle" / "card.json").read_text())
    assert card["known_failures"] == ["White cats on snow are called dogs.", "Puppies from behind."]
    assert card["origin"]["num_neither"] == 16
    assert dogvscat("predict", "--model", run, wary_run.parent / "noise" / "1.png").returncode == 0


def test_more_epochs_keep_the_earlier_report(quick_run: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    report = (run / "report.html").read_bytes()
    longer = dogvscat("train", "--resume", run, "--set", "training.epochs=3")
    assert longer.returncode == 0, longer.stderr
    assert f"The earlier report is kept as {run}/report-2-epochs.html." in longer.stderr
    assert (run / "report-2-epochs.html").read_bytes() == report
    assert (run / "report.html").read_bytes() != report
    again = dogvscat("train", "--resume", run)
    assert "Nothing remains to train. To continue, raise training.epochs with --set." in again.stderr
    assert sorted(path.name for path in run.glob("report*")) == ["report-2-epochs.html", "report.html"]


def test_the_command_for_a_changed_training_works(
    quick_run: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    page = (quick_run / "report.html").read_text()
    (command,) = re.findall(r"<pre>dogvscat (train PHOTOS .*?)</pre>", page)
    again = command.replace("PHOTOS", str(drawn_photos)).replace("SECTION.KEY=VALUE", "training.epochs=1")
    result = dogvscat(*shlex.split(again), "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    before, after = ((run / "config.toml").read_text() for run in (quick_run, tmp_path / "run"))
    assert after == before.replace("epochs = 2", "epochs = 1")
