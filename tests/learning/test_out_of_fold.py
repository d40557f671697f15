"""Folds without leakage, trainings that resume where they were stopped, and the command around them."""

import csv
import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dogvscat.cli.main import main
from dogvscat.config import Config
from dogvscat.errors import DataError, Interrupted, ModelError, UsageError
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings
from dogvscat.learning.label_audit.label_evidence import audit_labels
from dogvscat.learning.label_audit.out_of_fold import (
    COLUMNS,
    OutOfFoldPredictions,
    divide_into_folds,
    fold_config,
    predict_out_of_fold,
)
from dogvscat.learning.loop.inference import final_network, predict_logits
from dogvscat.learning.loop.training import set_up_training
from dogvscat.learning.run import Run
from dogvscat.photos.manifest import Manifest, ManifestRow, make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.relabel import read_relabeling
from dogvscat.settings.resolve import build_config, with_settings
from dogvscat.settings.toml import to_toml
from tests.helpers import Dogvscat, draw_easy, read_table, residual_layers, signal_at

pytestmark = pytest.mark.slow

FOLDS = 3
TINY = {
    "recipe": "tiny",
    "data": {"image_size": 32},
    "network": {"layers": residual_layers(4, 8, blocks=0), "initializer": "he", "dropout": 0.1},
    "training": {
        "epochs": 4,
        "batch_size": 4,
        "schedule": "one_cycle",
        "recalibrated_pictures": 16,
        "ema_momentum": 0.9,
        "early_stopping_patience": 3,
        "checkpoint_seconds": 0.001,
        "threads": 1,
    },
}


def silent(sentence: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def config() -> Config:
    return fold_config(build_config(TINY))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path) -> Path:
    """The drawn photos, one cat and one dog in the wrong folder, and copies of two more."""
    folder = Path(shutil.copytree(drawn_photos, tmp_path_factory.mktemp("filed") / "photos"))
    cats, dogs = (sorted((folder / kind).iterdir()) for kind in ("cat", "dog"))
    cats[0].rename(folder / "dog" / "a cat.jpg")
    dogs[0].rename(folder / "cat" / "a dog.jpg")
    for picture in (cats[1], dogs[1]):
        for number in range(3):
            shutil.copy(picture, picture.with_name(f"copy{number}.jpg"))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, photos: Path, config: Config) -> tuple[Path, OutOfFoldPredictions]:
    """Folds of an uninterrupted run, and their predictions."""
    folder = tmp_path_factory.mktemp("whole") / "folds"
    source = open_photos(photos)
    manifest = make_manifest(source, config.data)
    return folder, predict_out_of_fold(source, manifest, config, FOLDS, folder, silent)


def prediction_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/out_of_fold.csv"))}


def rows_of(group_sizes: dict[str, list[int]], split: str = "train") -> Iterator[ManifestRow]:
    for label, sizes in group_sizes.items():
        for group, size in enumerate(sizes):
            for copy in range(size):
                name = f"{label}{group}-{copy}"
                yield ManifestRow(name, label, name, "0" * 64, "9x9", "RGB", f"{label}{group}", split, "")


def test_folds_split_no_group_and_hold_out_every_photo_once() -> None:
    rows = [*rows_of({"cat": [1] * 20 + [2] * 10 + [7], "dog": [1] * 17 + [4] * 5})]
    rows[3:6] = [replace(row, split=split) for row, split in zip(rows[3:6], ("validation", "test", ""), strict=True)]
    manifest = Manifest(("cat", "dog"), tuple(rows))
    parts = divide_into_folds(manifest, 5, seed=0)
    held_out = [row.sha256 for part in parts for row in part.of_split("validation")]
    assert sorted(held_out) == sorted(row.sha256 for row in rows if row.split)
    for part in parts:
        groups = [{row.group for row in part.of_split(split)} for split in ("train", "validation")]
        assert groups[0] & groups[1] == set()
        assert sum(len(part.of_split(split)) for split in ("train", "validation")) == len(rows) - 1
        assert [row.path for row in part.of_split("")] == [rows[5].path]
        counts = part.count("validation")
        assert abs(counts["cat"] - 46 / 5) <= 3  # a group of 7 lies in one of them
        assert abs(counts["dog"] - 37 / 5) <= 3
    assert divide_into_folds(manifest, 5, seed=0) == parts != divide_into_folds(manifest, 5, seed=1)


def test_too_few_photos_for_the_folds() -> None:
    manifest = Manifest(("cat", "dog"), tuple(rows_of({"cat": [1] * 9, "dog": [5, 1, 1]})))
    assert len(divide_into_folds(manifest, 3, seed=0)) == 3
    with pytest.raises(DataError, match="4 folds need at least 4 different photos of each class, found 3"):
        divide_into_folds(manifest, 4, seed=0)


def test_nothing_is_chosen_on_the_held_out_fold() -> None:
    assert fold_config(build_config(TINY)).training.early_stopping_patience == 0
    with pytest.raises(UsageError, match="'tiny' lowers its learning rate when the validation loss stalls") as caught:
        fold_config(with_settings(build_config(TINY), ["training.schedule=reduce_on_plateau"]))
    assert "training.schedule=one_cycle" in str(caught.value.hint)


def test_each_photo_is_predicted_once_by_a_network_that_never_saw_its_group(
    whole: tuple[Path, OutOfFoldPredictions], photos: Path, config: Config
) -> None:
    folder, predictions = whole
    source = open_photos(photos)
    manifest = make_manifest(source, config.data)
    assert [row.sha256 for row in predictions.rows] == [row.sha256 for row in manifest.rows if row.split]
    assert predictions.y_true.tolist() == [int(row.label == "dog") for row in predictions.rows]
    seen: dict[str, float] = {}
    for number in range(1, FOLDS + 1):
        run = Run(folder / str(number))
        learned, held_out = (run.load_manifest().of_split(split) for split in ("train", "validation"))
        assert {row.group for row in learned} & {row.group for row in held_out} == set()
        assert {row.path for row in held_out} & seen.keys() == set()
        dataset = Dataset(run.load_manifest(), {32: cached_pixels(source, manifest, 32)})
        training = set_up_training(run, config, dataset, ComputeSettings(1, "float32"), silent)
        assert training.state.is_finished(config.training)
        training.fit()  # nothing is left but to choose the weights
        network = final_network(training.model, config, training.loader.images)
        logits = predict_logits(network, dataset.images["validation"], 32).positive
        seen |= {row.path: 1 / (1 + np.exp(-logit)) for row, logit in zip(held_out, logits, strict=True)}
    np.testing.assert_allclose(predictions.y_prob, [seen[row.path] for row in predictions.rows], rtol=1e-12)
    with (folder / "1" / "out_of_fold.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)


def test_a_stopped_fold_resumes_and_finished_ones_are_kept(
    whole: tuple[Path, OutOfFoldPredictions], photos: Path, config: Config, tmp_path: Path
) -> None:
    """Stopped before the second fold's first step, in the middle of its training, and before its predictions."""
    source, folds = open_photos(photos), tmp_path / "folds"
    manifest = make_manifest(source, config.data)

    def stop_in_fold_2(sentence: str) -> None:
        if sentence.endswith("2") and sentence.startswith("Training"):
            raise KeyboardInterrupt

    shutil.copytree(whole[0] / "1", folds / "1")
    with pytest.raises(Interrupted, match="fold 2 of 3: stopped") as caught:
        predict_out_of_fold(source, manifest, config, FOLDS, folds, stop_in_fold_2)
    assert "Run the same command again" in str(caught.value.hint)
    assert list(prediction_files(folds)) == ["1/out_of_fold.csv"]
    written = (folds / "1" / "out_of_fold.csv").stat().st_mtime_ns

    spoken = stopped_after_an_epoch(photos, config, tmp_path)
    assert "error: fold 2 of 3: stopped in epoch" in spoken
    assert "hint: Run the same command again" in spoken
    assert "Traceback" not in spoken
    assert list(prediction_files(folds)) == ["1/out_of_fold.csv"]
    assert (folds / "2" / "checkpoint" / "state.npz").exists()

    messages: list[str] = []
    predictions = predict_out_of_fold(source, manifest, config, FOLDS, folds, messages.append)
    assert [sentence[:11] for sentence in messages if sentence.startswith("fold")] == ["fold 2 of 3", "fold 3 of 3"]
    assert any(sentence.startswith("Resuming after epoch") for sentence in messages)
    assert (folds / "1" / "out_of_fold.csv").stat().st_mtime_ns == written
    assert prediction_files(folds) == prediction_files(whole[0])
    np.testing.assert_array_equal(predictions.y_prob, whole[1].y_prob)

    (folds / "2" / "out_of_fold.csv").unlink()  # as after a kill between the last epoch and the predictions
    predict_out_of_fold(source, manifest, config, FOLDS, folds, silent)
    assert prediction_files(folds) == prediction_files(whole[0])


def stopped_after_an_epoch(photos: Path, config: Config, out: Path) -> str:
    """What a process prints on stderr that is sent Ctrl-C in its second epoch."""
    (out / "tiny.toml").write_text(to_toml(config))
    arguments = ["audit", photos, "--labels", "--out", out, "--recipe", out / "tiny.toml", "--folds", FOLDS]
    stopped = signal_at("epoch   1/", signal.SIGINT, *arguments)
    assert stopped.returncode == 130, stopped.stderr
    return stopped.stderr


@pytest.fixture
def started_folds(whole: tuple[Path, OutOfFoldPredictions], tmp_path: Path) -> Path:
    """Finished folds that a test may damage."""
    return Path(shutil.copytree(whole[0], tmp_path / "folds"))


def test_other_settings_photos_and_folds_are_refused(
    started_folds: Path, photos: Path, config: Config, tmp_path: Path
) -> None:
    source = open_photos(photos)
    manifest = make_manifest(source, config.data)
    different_config = with_settings(config, ["training.seed=4", "network.dropout=0.2"])
    message = (
        r"was started with other settings: network.layers was \('dropout 0.1',\) and is now \('dropout 0.2',\); "
        r"training.seed was 0 and is now 4"
    )
    with pytest.raises(UsageError, match=message) as caught:
        predict_out_of_fold(source, manifest, different_config, FOLDS, started_folds, silent)
    assert "choose another --out, or delete" in str(caught.value.hint)
    with pytest.raises(UsageError, match="folds was started with a different number of folds"):
        predict_out_of_fold(source, manifest, config, FOLDS - 1, started_folds, silent)
    more = Path(shutil.copytree(photos, tmp_path / "photos"))
    (more / "cat" / "a dog.jpg").unlink()
    source = open_photos(more)
    with pytest.raises(DataError, match="folds was started with different photos"):
        predict_out_of_fold(source, make_manifest(source, config.data), config, FOLDS, started_folds, silent)


@pytest.mark.parametrize("damage", ["a missing row", "a probability of 2", "not a number", "empty"])
def test_damaged_predictions_are_named(started_folds: Path, photos: Path, config: Config, damage: str) -> None:
    path = started_folds / "2" / "out_of_fold.csv"
    lines = path.read_text().splitlines()
    last = lines[-1].rpartition(",")[0]
    damaged = {
        "a missing row": lines[:-1],
        "a probability of 2": [*lines[:-1], f"{last},2.0"],
        "not a number": [*lines[:-1], f"{last},many"],
        "empty": [],
    }
    path.write_text("\n".join(damaged[damage]))
    source = open_photos(photos)
    with pytest.raises(ModelError, match=r"2/out_of_fold\.csv cannot be used: ") as caught:
        predict_out_of_fold(source, make_manifest(source, config.data), config, FOLDS, started_folds, silent)
    assert "Delete it and run the same command again" in str(caught.value.hint)


@pytest.fixture
def skilled_folds(started_folds: Path) -> Path:
    """Folds whose networks see what each photo shows, as if they had learned for long."""
    for predictions in started_folds.glob("*/out_of_fold.csv"):
        header, *lines = [line.split(",") for line in predictions.read_text().splitlines()]
        for line in lines:
            shows_cat = line[0].startswith("cat/") != line[0].endswith(("a cat.jpg", "a dog.jpg"))
            line[3] = "0.1" if shows_cat else "0.9"
        predictions.write_text("".join(f"{','.join(line)}\n" for line in [header, *lines]))
    return started_folds


def test_evidence_keeps_an_edited_table(skilled_folds: Path, photos: Path, config: Config) -> None:
    source = open_photos(photos)
    evidence = audit_labels(source, config, FOLDS, skilled_folds.parent, silent)
    assert {correction.path for correction in evidence.corrections} == {"dog/a cat.jpg", "cat/a dog.jpg"}
    table = skilled_folds.parent / "relabel.csv"
    suggestions = read_relabeling(table, source.class_names).suggestions
    assert suggestions == {correction.sha256: correction.suggestion for correction in evidence.corrections}
    table.write_text("mine")
    messages: list[str] = []
    assert audit_labels(source, config, FOLDS, skilled_folds.parent, messages.append) == evidence
    assert table.read_text() == "mine"
    assert "is kept" in messages[-1]


def test_the_command_reports_the_evidence(
    skilled_folds: Path, photos: Path, config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    out = skilled_folds.parent
    (out / "tiny.toml").write_text(to_toml(config))
    command = ["audit", str(photos), "--labels", "--out", str(out), "--recipe", str(out / "tiny.toml"), "--folds", "3"]
    assert main([*command, "--json", "--fail-on", "label_suspect"]) == 3
    document = json.loads(capfd.readouterr().out)
    corrections = [(row["path"], row["suggestion"] == "leave_out") for row in read_table(out / "relabel.csv")]
    issues = [(row["path"], row["kind"]) for row in read_table(out / "issues.csv")]
    kinds = {False: "label_suspect", True: "neither_suspect"}
    assert [issue for issue in issues if issue[1] in kinds.values()] == [(p, kinds[left]) for p, left in corrections]
    assert document["labels_checked"] is True
    assert document["issues"]["label_suspect"] == sum(not left for _, left in corrections) == 2
    assert document["label_agreement"]["n"] == 54
    assert document["label_agreement"]["value"] == 52 / 54
    assert 'id="label_suspect"' in (out / "audit.html").read_text()
    assert main(command) == 0
    output = capfd.readouterr()
    assert "  label_suspect           2   Networks that were not" in output.out
    assert "Networks that did not learn from these photos agree with 96.3%" in output.out
    assert f"dogvscat train PHOTOS --relabel {out}/relabel.csv" in output.err


def test_networks_at_chance_suspect_no_label(
    started_folds: Path, photos: Path, config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    out = started_folds.parent
    (out / "tiny.toml").write_text(to_toml(config))
    command = ["audit", str(photos), "--labels", "--out", str(out), "--recipe", str(out / "tiny.toml"), "--folds", "3"]
    assert main(command) == 0
    output = capfd.readouterr()
    assert "No label is suspected, because these networks are no better than guessing: they agree with" in output.err
    assert "label_suspect" not in output.out
    assert "--relabel" not in output.err
    assert not (out / "relabel.csv").exists()
    assert 'id="label_suspect"' not in (out / "audit.html").read_text()
    assert not {row["kind"] for row in read_table(out / "issues.csv")} & {"label_suspect", "neither_suspect"}
    # A script that counts on the check must not take silence for correct labels.
    for kind, code in (("label_suspect", 3), ("neither_suspect", 3), ("any", 3), ("tiny", 0)):
        assert main([*command, "--json", "--fail-on", kind]) == code
        output = capfd.readouterr()
        assert json.loads(output.out)["labels_checked"] is False
        assert ("the labels could not be checked" in output.err) == bool(code)


@pytest.fixture
def misfiled(skilled_run: Path, tmp_path: Path) -> Path:
    """New photos of the kind that the skilled network knows, with two in the wrong folder."""
    for kind in ("cat", "dog"):
        (tmp_path / "new" / kind).mkdir(parents=True)
        for seed in range(2000, 2030):
            draw_easy(kind, seed, 64).save(tmp_path / "new" / kind / f"{seed}.png")
    for kind, wrong in (("cat", "dog"), ("dog", "cat")):
        (tmp_path / "new" / kind / "2003.png").rename(tmp_path / "new" / wrong / f"a {kind}.png")
    return tmp_path / "new"


def relabeled(table: Path) -> dict[str, str]:
    """The photos for which the table proposes the other class; others may be hard, and are proposed to be left out."""
    rows = read_table(table)
    return {row["path"]: row["suggestion"] for row in rows if row["suggestion"] != "leave_out"}


def test_a_trained_model_checks_labels_without_training(
    misfiled: Path, skilled_run: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    result = dogvscat("audit", misfiled, "--labels", "--model", skilled_run, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert relabeled(tmp_path / "out" / "relabel.csv") == {"dog/a cat.png": "cat", "cat/a dog.png": "dog"}
    assert not (tmp_path / "out" / "folds").exists()
    assert "agree with 96.7%" in result.stdout
    # What it learned from cannot be checked with it: its own training photos are left to others.
    for path in (skilled_run.parent / "photos" / "cat").iterdir():
        shutil.copy(path, misfiled / "cat" / f"known {path.name}")
    result = dogvscat("audit", misfiled, "--labels", "--model", skilled_run, "--out", tmp_path / "again")
    assert result.returncode == 0, result.stderr
    num_known = sum(
        row["split"] == "train" and row["label"] == "cat" for row in read_table(skilled_run / "manifest.csv")
    )
    assert f"{num_known} photos that the model learned from cannot be checked with it." in result.stderr
    assert relabeled(tmp_path / "again" / "relabel.csv") == {"dog/a cat.png": "cat", "cat/a dog.png": "dog"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "best"], 2, "--model, --recipe, --folds and --set need --labels"),
        (["--labels", "--model", "best"], 2, "--labels needs --out FOLDER"),
        (["--labels", "--model", "best", "--folds", "3", "--out", "out"], 2, "with --model none are trained"),
        (["--labels", "--model", "nothing", "--out", "out"], 4, "nothing does not exist"),
    ],
)
def test_a_model_that_cannot_check_labels_is_refused(
    misfiled: Path, tmp_path: Path, dogvscat: Dogvscat, arguments: list[str], code: int, message: str
) -> None:
    result = dogvscat("audit", misfiled, *arguments, cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr


def test_a_model_of_other_classes_checks_no_labels(misfiled: Path, tmp_path: Path, dogvscat: Dogvscat) -> None:
    (misfiled / "cat").rename(misfiled / "owl")
    result = dogvscat("audit", misfiled, "--labels", "--model", "best", "--out", tmp_path / "out")
    assert result.returncode == 3
    assert "the photos show dog and owl, but the model knows cat and dog" in result.stderr
