"""`dogvscat compare` on real run folders."""

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dogvscat.errors import ModelError
from dogvscat.exploring.comparison.compare import compare_runs
from dogvscat.exploring.comparison.page import write_comparison
from dogvscat.exploring.effects import holm
from dogvscat.labels import LEAVE_OUT
from dogvscat.photos.manifest import Manifest, load_manifest, save_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.relabel import Correction, write_corrections
from tests.helpers import QUICK, Dogvscat, read_table

pytestmark = pytest.mark.slow


def correctness(run: Path) -> dict[str, bool]:
    """Whether each validation photo is classified correctly, read by other means."""
    rows = [row for row in read_table(run / "predictions.csv") if row["split"] == "validation"]
    return {row["path"]: row["label"] == row["prediction"] for row in rows}


def test_seeds_of_one_recipe_are_one_arm(three_runs: list[Path]) -> None:
    one, two, wide = three_runs
    comparison = compare_runs([wide, one, two])
    assert [arm.name for arm in comparison.arms] == ["wide", "plain-1 (2 seeds)"]
    shares = [sum(correctness(run).values()) / len(correctness(run)) for run in three_runs]
    assert comparison.arms[1].accuracies == pytest.approx(shares[:2])
    assert comparison.differences[0].accuracy.value == pytest.approx((shares[0] + shares[1]) / 2 - shares[2])
    assert comparison.changed_settings(comparison.arms[1]) == [
        ("network.layers", ("flatten, dense 16, relu",), ("flatten, dense 8, relu",))
    ]


def test_runs_that_differ_only_in_seeds_are_compared_with_each_other(three_runs: list[Path]) -> None:
    one, two = map(correctness, three_runs[:2])
    comparison = compare_runs(three_runs[:2])
    assert comparison.only_seeds_differ
    assert not compare_runs([three_runs[0], three_runs[2]]).only_seeds_differ
    difference = comparison.differences[0]
    assert difference.only_first == sum(one[path] and not two[path] for path in one)
    assert difference.only_second == sum(two[path] and not one[path] for path in one)


def test_the_caveat_says_what_the_figures_do_not_account_for(three_runs: list[Path], dogvscat: Dogvscat) -> None:
    one, two, wide = three_runs
    done = dogvscat("compare", wide, one, two)
    assert "Another seed may change the result of a single training" in done.stderr
    done = dogvscat("compare", one, two)
    assert "the difference shows how much of a result is luck" in done.stderr


def test_the_same_training_twice_is_not_two_seeds(three_runs: list[Path], tmp_path: Path) -> None:
    one, two, wide = three_runs
    again = Path(shutil.copytree(one, tmp_path / "again"))
    comparison = compare_runs([wide, one, two, again])
    assert [len(arm.runs) for arm in comparison.arms] == [1, 2, 1]
    assert [len(arm.runs) for arm in compare_runs([one, two, again]).arms] == [1, 1, 1]
    assert "have equal settings and seeds" in (compare_runs([one, again]).caveat or "")
    assert comparison.differences[1].accuracy == compare_runs([wide, one]).differences[0].accuracy


def _renamed(run: Path, copy: Path, names: dict[str, str]) -> Path:
    """A copy of a run as if its photos had lain in folders of other names."""
    shutil.copytree(run, copy)
    manifest = load_manifest(run / "manifest.csv")
    rows = [
        replace(row, path=row.path.replace(row.label, names[row.label]), label=names[row.label])
        for row in manifest.rows
    ]
    class_names = sorted(names.values())
    renamed = Manifest((class_names[0], class_names[1]), tuple(sorted(rows, key=lambda row: row.path)))
    save_manifest(copy / "manifest.csv", renamed)
    environment = json.loads((copy / "environment.json").read_text())
    (copy / "environment.json").write_text(json.dumps(environment | {"data_digest": renamed.digest}))
    header, *predictions = csv.reader((run / "predictions.csv").read_text().splitlines())
    order = [0, 1, 2, *((3, 4) if class_names[0] == names["cat"] else (4, 3)), *range(5, len(header))]
    table = [[header[i] for i in order], *([row[i] for i in order] for row in predictions)]
    lines = [",".join(row) for row in table]
    for old, new in names.items():
        lines = [re.sub(rf"(?<![A-Za-z]){old}(?![A-Za-z])", new, line) for line in lines]
    (copy / "predictions.csv").write_text("\n".join([*lines, ""]))
    return copy


def test_runs_whose_folders_had_other_names(three_runs: list[Path], dogvscat: Dogvscat, tmp_path: Path) -> None:
    names = {"cat": "Zoé", "dog": "Alma"}  # in the other order
    renamed = _renamed(three_runs[0], tmp_path / "renamed", names)
    refused = dogvscat("compare", three_runs[2], renamed)
    assert refused.returncode == 3
    assert "learned different classes: cat, dog and Alma, Zoé" in refused.stderr
    assert "--class-names" in refused.stderr
    done = dogvscat("compare", three_runs[2], renamed, "--json", "--class-names", "cat=ZOE\u0301,dog=alma")
    assert done.returncode == 0, done.stderr
    (received,), (expected,) = (
        json.loads(text)["differences"]
        for text in (done.stdout, dogvscat("compare", three_runs[2], three_runs[0], "--json").stdout)
    )
    for key in ("accuracy", "only_first", "only_second", "p_value"):
        assert received[key] == expected[key]
    same = dogvscat("compare", three_runs[2], renamed, "--class-names", "cat=Alma,cat=Zoé")
    assert same.returncode == 2
    assert "gives both classes of" in same.stderr


def test_photos_are_the_same_wherever_they_lay(three_runs: list[Path], tmp_path: Path) -> None:
    moved = Path(shutil.copytree(three_runs[0], tmp_path / "moved"))
    for table in ("manifest.csv", "predictions.csv"):
        header, *lines = (moved / table).read_text().splitlines()
        (moved / table).write_text("\n".join([header, *(f"PetImages/{line}" for line in lines), ""]))
    received = compare_runs([three_runs[2], moved]).differences
    assert received[0].accuracy == compare_runs([three_runs[2], three_runs[0]]).differences[0].accuracy
    (moved / "predictions.csv").write_text((three_runs[0] / "predictions.csv").read_text())
    with pytest.raises(ModelError, match=r"predictions\.csv has a photo that the manifest lacks"):
        compare_runs([three_runs[2], moved])


def test_p_values_are_corrected_for_the_number_of_arms(three_runs: list[Path], tmp_path: Path) -> None:
    _, _, wide = three_runs
    others = []
    for name, num_wrong in (("few", 1), ("many", 4)):
        changed = Path(shutil.copytree(wide, tmp_path / name))
        header, *rows = (changed / "predictions.csv").read_text().splitlines()
        for row in range(-num_wrong, 0):
            path, label, split, cat, dog, prediction, unsure = rows[row].split(",")
            other = "cat" if prediction == "dog" else "dog"
            rows[row] = ",".join([path, label, split, dog, cat, other, unsure])
        (changed / "predictions.csv").write_text("\n".join([header, *rows, ""]))
        others.append(changed)
    alone = [compare_runs([wide, other]).differences[0].p_value for other in others]
    together = [difference.p_value for difference in compare_runs([wide, *others]).differences]
    assert together == holm(alone)


def test_learning_from_corrected_labels_is_another_arm(
    three_runs: list[Path], drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    first = load_manifest(three_runs[0] / "manifest.csv").of_split("train")[0]
    table = tmp_path / "relabel.csv"
    write_corrections(table, [Correction(first.path, first.sha256, first.label, LEAVE_OUT, "")])
    done = dogvscat("train", drawn_photos, *QUICK, "--seed=2", "--relabel", table, "--out", tmp_path / "corrected")
    assert done.returncode == 0, done.stderr
    comparison = compare_runs([three_runs[0], three_runs[1], tmp_path / "corrected"])
    assert [len(arm.runs) for arm in comparison.arms] == [2, 1]
    digest = hashlib.sha256(table.read_bytes()).hexdigest()[:16]
    assert comparison.changed_settings(comparison.arms[1]) == [("relabel_digest", "none", digest)]
    assert not comparison.only_seeds_differ


def test_the_page_stands_alone_and_the_figures_are_json(
    three_runs: list[Path], dogvscat: Dogvscat, tmp_path: Path
) -> None:
    done = dogvscat("compare", *three_runs, "--out", tmp_path / "compared", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "compared" / "comparison.json").read_text())
    page = (tmp_path / "compared" / "comparison.html").read_text()
    assert document["differences"][0]["sentence"] in page
    assert "network.layers" in page
    assert '<p class="warning">pictures drawn by code, not photographs</p>' in page
    assert (document["note"], document["seeds_alone"]) == ("pictures drawn by code, not photographs", False)
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    for picture in ("curves.png", "differences.png"):
        assert (tmp_path / "compared" / picture).read_bytes().startswith(b"\x89PNG")


def test_a_page_without_photos_says_why(three_runs: list[Path], drawn_photos: Path, tmp_path: Path) -> None:
    one_wrong = Path(shutil.copytree(three_runs[2], tmp_path / "one-wrong"))
    header, *rows = (one_wrong / "predictions.csv").read_text().splitlines()
    path, label, split, cat, dog, prediction, unsure = rows[-1].split(",")
    other = ",".join([path, label, split, dog, cat, "cat" if prediction == "dog" else "dog", unsure])
    (one_wrong / "predictions.csv").write_text("\n".join([header, *rows[:-1], other, ""]))
    comparison = compare_runs([three_runs[2], one_wrong])
    for is_cached in (False, True):  # each test has an empty DOGVSCAT_HOME
        if is_cached:
            cached_pixels(open_photos(drawn_photos), comparison.manifest, 32)
        write_comparison(tmp_path, comparison)
        page = (tmp_path / "comparison.html").read_text()
        assert ("in the cache of this DOGVSCAT_HOME" in page) is not is_cached
        assert ("Under each photo" in page or "classifies correctly more often.</figcaption>" in page) is is_cached


def test_what_cannot_be_compared_is_refused(three_runs: list[Path], dogvscat: Dogvscat, tmp_path: Path) -> None:
    one, two, _ = three_runs
    done = dogvscat("compare", one)
    assert (done.returncode, "at least two run folders" in done.stderr) == (2, True)
    done = dogvscat("compare", one, one)
    assert (done.returncode, "given twice" in done.stderr) == (2, True)
    unfinished = Path(shutil.copytree(two, tmp_path / "unfinished"))
    (unfinished / "predictions.csv").unlink()
    done = dogvscat("compare", one, unfinished)
    assert (done.returncode, "is not finished" in done.stderr) == (4, True)
    done = dogvscat("compare", one, tmp_path / "nothing")
    assert (done.returncode, "is not a run folder" in done.stderr) == (4, True)
    done = dogvscat("compare", one, two, "--split", "test")
    assert (done.returncode, "has no split 'test', it has train, validation" in done.stderr) == (2, True)


def test_other_photos_and_other_splits_are_named(
    three_runs: list[Path], drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    one = three_runs[0]
    fewer = Path(shutil.copytree(drawn_photos, tmp_path / "fewer"))
    min(fewer.glob("cat/*")).unlink()
    quick = [
        "--recipe=classic",
        "--set=network.layers=conv 8, relu, global mean",
        "--set=data.image_size=32",
        "--set=training.epochs=1",
    ]
    for name, photos, flag in (("fewer", fewer, "--seed=1"), ("split", drawn_photos, "--set=data.split_seed=5")):
        done = dogvscat("train", photos, "--out", tmp_path / f"run-{name}", *quick, flag)
        assert done.returncode == 0, done.stderr
    done = dogvscat("compare", one, tmp_path / "run-fewer")
    assert (done.returncode, "learned from different photos: data digests" in done.stderr) == (3, True)
    done = dogvscat("compare", one, tmp_path / "run-split")
    assert (done.returncode, "were split differently" in done.stderr) == (3, True)
    assert "data.split_seed 0 and 5" in done.stderr
