"""`dogvscat train` from drawn photos to a run folder."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from dogvscat.bundle.folder import load_card
from dogvscat.photos.reading.sources import SYNTHETIC_NOTE
from tests.helpers import Dogvscat, json_lines, read_table

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
    "network.png",
    "report.html",
    "bundle/card.json",
    "bundle/model.onnx",
    "bundle/network.svg",
}


def test_a_run_folder_holds_what_the_design_names(quick_run: Path) -> None:
    missing = {name for name in RUN_FILES if not (quick_run / name).is_file()}
    assert missing == set()


def test_drawn_pictures_are_marked_in_every_output(quick_run: Path) -> None:
    assert json.loads((quick_run / "environment.json").read_text())["drawn_sample"] is True
    assert json.loads((quick_run / "bundle" / "card.json").read_text())["origin"]["drawn_sample"] is True
    assert "pictures drawn by code, not photographs" in (quick_run / "report.html").read_text()


def test_a_network_at_chance_says_so_wherever_it_is_used(
    quick_run: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    """Two epochs on 43 drawings teach it nothing."""
    card = load_card(quick_run / "bundle")
    warning, drawings = card.warnings
    assert warning.startswith("This network is no better than guessing: its accuracy on 5 validation photos is ")
    metrics = json.loads((quick_run / "metrics.json").read_text())
    assert {name: result["figures"]["unsure_rate"]["value"] for name, result in metrics.items()} == {
        "train": 1.0,
        "validation": 1.0,
    }
    assert warning in (quick_run / "bundle" / "README.md").read_text()
    assert "no better than guessing" in (quick_run / "report.html").read_text()
    photos = sorted((drawn_photos / "cat").iterdir())[:3]
    commands = {
        "predict": ["--json", "--model", quick_run, *photos],
        "explain": ["--json", "--model", quick_run, *photos, "--out", tmp_path / "why"],
        "export": [quick_run, "--format", "onnx", "--out", tmp_path / "onnx"],
        "evaluate": [quick_run, drawn_photos, "--out", tmp_path / "evaluation"],
        "train": ["--resume", shutil.copytree(quick_run, tmp_path / "run")],
    }
    results = {name: dogvscat(name, *arguments) for name, arguments in commands.items()}
    for name, result in results.items():
        assert result.returncode == 0, result.stderr
        assert result.stderr.count(warning) == result.stderr.count(drawings) == 1, name
    assert results["train"].stderr.splitlines()[-1] == drawings
    for name in ("predict", "explain"):
        answers = json_lines(results[name].stdout)
        assert [(answer["label"], answer["reason"]) for answer in answers] == [("unsure", "at_chance")] * 3
    assert "unsure (at_chance)" in dogvscat("predict", "--model", quick_run, photos[0]).stdout
    readme = (tmp_path / "onnx" / "README.md").read_text()
    assert warning in readme
    assert drawings in readme
    about = json.loads((tmp_path / "onnx" / "preprocessing.json").read_text())
    assert about["decision"]["at_chance"] is True
    assert about["warnings"] == card.warnings
    table = read_table(tmp_path / "evaluation" / "predictions.csv")
    assert {row["unsure"] for row in table} == {"yes"}
    assert SYNTHETIC_NOTE in dogvscat("runs", quick_run.parent).stdout


def test_recognizing_neither_is_measured_on_held_out_photos(skilled_run: Path) -> None:
    metrics = json.loads((skilled_run / "metrics.json").read_text())["neither"]["figures"]
    card = json.loads((skilled_run / "bundle" / "card.json").read_text())
    assert metrics["unsure_rate"]["n"] == 8
    assert card["metrics"]["neither"] == metrics
    assert card["config"]["network"]["neither_output"] is True
    assert "used neither for training nor for any choice" in (skilled_run / "report.html").read_text()
    assert (
        "photographs that show neither: share answered `unsure`" in (skilled_run / "bundle" / "README.md").read_text()
    )


def test_predict_and_evaluate_use_the_second_output(skilled_run: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    limit = json.loads((skilled_run / "bundle" / "card.json").read_text())["neither_limit"]
    photos, neither = skilled_run.parent / "photos", skilled_run.parent / "neither"
    result = dogvscat("predict", "--json", "--model", skilled_run, neither, photos)
    answers = json_lines(result.stdout)
    assert len(answers) == 24 + 120
    assert {answer["label"] for answer in answers} == {"cat", "dog", "unsure"}
    assert all((answer["reason"] == "neither") == (answer["neither"] > limit) for answer in answers)
    assert "unsure (neither)" in dogvscat("predict", "--model", skilled_run, neither).stdout
    evaluated = dogvscat("evaluate", skilled_run, photos, "--out", tmp_path / "evaluation")
    assert evaluated.returncode == 0, evaluated.stderr
    table = read_table(tmp_path / "evaluation" / "predictions.csv")
    unsure = {Path(row["path"]).parts[-2:]: row["unsure"] == "yes" for row in table}
    named = {Path(answer["path"]).parts[-2:]: answer["label"] == "unsure" for answer in answers}
    assert len(unsure) == 120
    assert unsure == {name: named[name] for name in unsure}


def test_a_run_with_photos_of_neither_class_is_evaluated_again_to_the_same_bits(
    skilled_run: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(skilled_run, tmp_path / "run"))
    kept = ("metrics.json", "predictions.csv", "bundle/model.onnx")
    before = [(run / file).read_bytes() for file in kept]
    dogvscat("cache", "--clear", "pixels")  # so that the photos are decoded again
    result = dogvscat("train", "--resume", run)
    assert result.returncode == 0, result.stderr
    assert [(run / file).read_bytes() for file in kept] == before
    neither = Path(shutil.copytree(skilled_run.parent / "neither", tmp_path / "neither"))
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps(environment | {"neither": str(neither)}))
    (neither / "0.png").unlink()
    dogvscat("cache", "--clear", "pixels")
    gone = dogvscat("train", "--resume", run)
    assert gone.returncode == 3
    assert "have changed since this run was started" in gone.stderr


def test_a_second_output_needs_photos_that_show_neither(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    result = dogvscat("train", drawn_photos, "--out", tmp_path / "run", "--set", "network.neither_output=true")
    assert result.returncode == 2
    assert "no photos that show neither class are given" in result.stderr
    assert "--neither" in result.stderr


def test_known_failures_go_into_the_model_card(skilled_run: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    run = Path(shutil.copytree(skilled_run, tmp_path / "run"))
    (run / "known_failures.md").write_text("- White cats on snow are called dogs.\n\n- Puppies from behind.\n")
    assert dogvscat("train", "--resume", run).returncode == 0
    page = (run / "bundle" / "README.md").read_text()
    assert "## Known failures\n\n- White cats on snow are called dogs.\n- Puppies from behind.\n" in page
    card = json.loads((run / "bundle" / "card.json").read_text())
    assert card["known_failures"] == ["White cats on snow are called dogs.", "Puppies from behind."]
    assert card["origin"]["num_neither"] == 16
    assert dogvscat("predict", "--model", run, skilled_run.parent / "neither" / "1.png").returncode == 0


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
