"""Doubtful labels from out-of-fold predictions: numbers by hand, and a run that learns from the corrections."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dogvscat.learning.label_audit.label_evidence import LabelEvidence, find_evidence
from dogvscat.learning.label_audit.out_of_fold import OutOfFoldPredictions
from dogvscat.learning.train import resume, train
from dogvscat.photos.manifest import ManifestRow, make_manifest
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.relabel import read_relabeling
from dogvscat.settings.resolve import build_config
from tests.helpers import plain_layers

pytestmark = pytest.mark.slow

TINY = {
    "data": {"image_size": 32},
    "network": {"layers": plain_layers(8, 8), "dropout": 0.5},
    "training": {"epochs": 1, "batch_size": 8, "threads": 1},
}


def evidence_for(y_prob: list[float], y_true: list[int]) -> LabelEvidence:
    return find_evidence(predictions_for(y_prob, y_true))


def predictions_for(y_prob: list[float], y_true: list[int]) -> OutOfFoldPredictions:
    names = ("cat", "dog")
    rows = [
        ManifestRow(f"{i}.jpg", names[label], f"{i:064x}", "0" * 64, "9x9", "RGB", f"g{i}", "train", "")
        for i, label in enumerate(y_true)
    ]
    return OutOfFoldPredictions(names, rows, np.array(y_true), np.array(y_prob))


def test_flipped_labels_are_found_the_likeliest_first() -> None:
    """By hand: cats are a cat with 0.856 on average and dogs a dog with 0.8465; only 3 and 25 reach the average of the
    other class, so one label of each class is estimated to be wrong: the one with the largest margin."""
    y_true = [0] * 20 + [1] * 20
    y_prob = [0.1] * 20 + [0.9] * 20
    y_prob[3], y_prob[25], y_prob[30] = 0.98, 0.03, 0.7
    evidence = evidence_for(y_prob, y_true)
    assert [(issue.path, issue.kind, issue.group, issue.detail) for issue in evidence.issues] == [
        ("3.jpg", "label_suspect", "g3", "filed as cat, probability of dog 0.98"),
        ("25.jpg", "label_suspect", "g25", "filed as dog, probability of cat 0.97"),
    ]
    assert [list(vars(correction).values()) for correction in evidence.corrections] == [
        ["3.jpg", f"{3:064x}", "cat", "dog", "0.9800"],
        ["25.jpg", f"{25:064x}", "dog", "cat", "0.9700"],
    ]
    assert (evidence.agreement.value, evidence.agreement.n) == (38 / 40, 40)


def test_ambiguous_photos_are_left_out_and_not_called_wrong() -> None:
    """Half a percent of 400 photos are two; both must be below 60%."""
    y_true = [0] * 200 + [1] * 200
    y_prob = [0.05] * 200 + [0.95] * 200
    y_prob[7], y_prob[250], y_prob[300] = 0.52, 0.49, 0.57
    evidence = evidence_for(y_prob, y_true)
    ambiguous = [issue for issue in evidence.issues if issue.kind == "neither_suspect"]
    assert [issue.detail for issue in ambiguous] == [
        "filed as dog, probability of cat 0.51",
        "filed as cat, probability of dog 0.52",
    ]
    assert [issue.path for issue in evidence.issues] == ["250.jpg", "7.jpg"]  # and none of them a second time
    assert [(row.suggestion, row.probability_of_suggestion) for row in evidence.corrections] == [("leave_out", "")] * 2
    assert evidence_for([0.05] * 200 + [0.95] * 199 + [0.61], y_true).issues == []


@pytest.mark.parametrize("constant", [0.0, 0.5, 0.9, 1.0])
def test_networks_that_say_the_same_of_every_photo_are_noticed(constant: float) -> None:
    evidence = evidence_for([constant] * 40, [0] * 20 + [1] * 20)
    assert evidence.agreement.value == 0.5
    assert evidence.weak
    assert not evidence.issues
    assert not evidence.corrections
    assert not evidence_for([0.1] * 15 + [0.9] * 25, [0] * 20 + [1] * 20).weak


def test_networks_that_are_too_sure_suspect_no_more_labels_than_humble_ones() -> None:
    """Calibration takes back what multiplies all log-odds; the labels disagree with these as often as they should."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 3, 400)
    y_true = (rng.uniform(size=400) < 1 / (1 + np.exp(-log_odds))).astype(int).tolist()
    paths = []
    for factor in (0.2, 1.0, 4.0):
        y_prob = 1 / (1 + np.exp(-factor * log_odds))
        evidence = find_evidence(predictions_for(y_prob.tolist(), y_true).calibrated())
        paths.append([issue.path for issue in evidence.issues])
    assert paths[0] == paths[1] == paths[2]
    assert paths[0]
    raw = find_evidence(predictions_for((1 / (1 + np.exp(-0.2 * log_odds))).tolist(), y_true))
    assert [issue.path for issue in raw.issues] != paths[0]


def test_flipped_labels_of_drawings_are_found_and_corrected(drawn_photos: Path, tmp_path: Path) -> None:
    """From probabilities by hand to a run that learned from the corrected labels, and its resume."""
    photos = Path(shutil.copytree(drawn_photos, tmp_path / "photos"))
    for kind, wrong_kind in (("cat", "dog"), ("dog", "cat")):
        min((photos / kind).iterdir()).rename(photos / wrong_kind / f"a {kind}.jpg")
    shutil.copy(photos / "cat" / "0002.jpg", photos / "cat" / "copy.jpg")
    source, config = open_photos(photos), build_config(TINY)
    manifest = make_manifest(source, config.data)
    rows = [row for row in manifest.rows if row.split]
    flipped = {"dog/a cat.jpg": "cat", "cat/a dog.jpg": "dog"}
    truth = [flipped.get(row.path, row.label) for row in rows]
    y_prob = np.array([{"cat": 0.05, "dog": 0.95}[label] for label in truth])
    evidence = find_evidence(OutOfFoldPredictions(manifest.class_names, rows, manifest.labels(rows), y_prob))
    assert {correction.path: correction.suggestion for correction in evidence.corrections} == flipped

    table = tmp_path / "relabel.csv"
    named = [*rows[:12], *(row for row in rows if row.path in flipped)]
    lines = [f"{row.path},{row.sha256},,{flipped.get(row.path, 'leave_out')},\n" for row in named]
    table.write_text("path,sha256,filed_as,suggestion,probability_of_suggestion\n" + "".join(lines))
    messages: list[str] = []
    run = train(photos, config, tmp_path / "run", messages.append, table)
    learned = run.load_manifest()  # which checks the digest
    assert learned.digest == manifest.digest == run.load_environment()["data_digest"]
    assert run.load_environment()["relabel_digest"] == read_relabeling(table, source.class_names).digest
    assert learned.of_split("validation") == manifest.of_split("validation")
    before, after = ({row.path: row for row in of.of_split("train")} for of in (manifest, learned))
    digests = {row.sha256 for row in rows[:12]}
    assert after.keys() == {path for path, row in before.items() if row.sha256 not in digests}
    corrected = {path: row.label for path, row in after.items() if row != before[path]}
    assert corrected == {path: label for path, label in flipped.items() if path in before}
    assert corrected
    num_left_out = len(before) - len(after)
    assert messages[0] == f"{table}: {len(corrected)} training photos relabeled, {num_left_out} left out"

    predictions = (run.folder / "predictions.csv").read_bytes()
    resume(run.folder, [], messages.append)
    assert (run.folder / "predictions.csv").read_bytes() == predictions
