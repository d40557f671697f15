"""What is said about small sets of photos was measured, and the documents show the same figures."""

import csv
import re
import runpy
from pathlib import Path

import pytest

from dogvscat.judging.learning_curve import ROWS_FILE, SMALL_TRAINING_SET, describe_small_set
from dogvscat.labels import LEAVE_OUT
from dogvscat.photos.drawing.sample import write_sample
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.reading.sources import open_photos
from dogvscat.settings.resolve import resolve_config

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "learning_curve.py"


@pytest.fixture(scope="module")
def benchmark() -> dict[str, object]:
    return runpy.run_path(str(SCRIPT))


def test_the_documents_show_the_rows_of_the_package(benchmark) -> None:
    for document, text in benchmark["documents"]().items():
        assert document.read_text(encoding="utf-8") == text, (
            "write it again with benchmarks/learning_curve.py --publish"
        )


def test_every_row_is_of_a_finished_training_on_the_standard_split() -> None:
    with ROWS_FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["photos"], row["seed"]) for row in rows}) == len(rows)
    for row in rows:
        assert (row["n"], row["data_digest"]) == ("2494", "af1dee131b83293e")
        correct = float(row["accuracy"]) * 2494
        assert correct == pytest.approx(round(correct))  # a share of the validation photos, not an estimate


def test_a_small_set_is_told_measured_figures_only(tmp_path: Path) -> None:
    means = {100: 60, 200: 64, 500: 70, 1_000: 76, 2_000: 81, 5_000: 90}
    rows = [f"{size},{seed},{mean / 100 + seed / 100},2494,0.9" for size, mean in means.items() for seed in (-1, 0, 1)]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["photos,seed,accuracy,n,train_accuracy", *rows]) + "\n")
    for num_train in (1, 40, 100, 150, 480, 1_000, 3_000, SMALL_TRAINING_SET - 1):
        message = describe_small_set(num_train, file) or ""
        quoted = {int(n.replace(",", "")): int(share) for share, n in re.findall(r"(\d+)% with ([\d,]+)", message)}
        assert quoted.items() <= means.items()
        assert max(quoted) > num_train
        assert (min(quoted) <= num_train) == (num_train >= min(means))
    assert describe_small_set(150, file) == (
        "150 training photos: more would help. Measured with the recipe `fast` on photos of cats and dogs, validation "
        "accuracy is 60% with 100, 64% with 200 and 81% with 2,000 training photos."
    )
    file.write_text("\n".join(["photos,seed,accuracy,n,train_accuracy", *rows[:6]]) + "\n")
    assert describe_small_set(200, file) is None  # nothing larger was measured


def test_a_large_set_is_told_nothing() -> None:
    assert describe_small_set(SMALL_TRAINING_SET) is None
    assert describe_small_set(1_000_000) is None


def test_draws_are_balanced_and_nested_and_keep_validation(benchmark, tmp_path: Path) -> None:
    write_sample(tmp_path / "photos", 48, seed=3, image_size=32)
    manifest = make_manifest(open_photos(tmp_path / "photos"), resolve_config("fast").data)
    training = {row.sha256: row.label for row in manifest.of_split("train")}
    drawn = {}
    for seed in (0, 1):
        for num_photos in (10, 20):
            corrections = benchmark["draw"](manifest, num_photos, seed)
            assert {correction.suggestion for correction in corrections} == {LEAVE_OUT}
            left_out = {correction.sha256 for correction in corrections}
            assert left_out < training.keys()
            drawn[seed, num_photos] = training.keys() - left_out
            labels = [training[sha256] for sha256 in drawn[seed, num_photos]]
            assert (labels.count("cat"), labels.count("dog")) == (num_photos // 2, num_photos // 2)
        assert drawn[seed, 10] < drawn[seed, 20]
    assert drawn[0, 20] != drawn[1, 20]
    assert benchmark["draw"](manifest, len(training), 0) == []
