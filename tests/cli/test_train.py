"""`dogvscat train` from drawn photos to a run folder."""

import json
from pathlib import Path

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
    assert "drawn sample, not photographs" in (quick_run / "report.html").read_text()
