"""The learning-rate range test on synthetic images."""

import json
import shutil
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

from dogvscat.cli import lr_find, options, study, tune
from dogvscat.exploring import plan_files
from dogvscat.exploring.lr_range import RangeTest, smooth
from dogvscat.exploring.search.space import load_space
from dogvscat.exploring.study.plan import StudyPlan, load_plan
from tests.helpers import Dogvscat, quick_flags, read_table

pytestmark = pytest.mark.slow

FLAGS = quick_flags("training.batch_size=8")


def test_smoothing_by_hand() -> None:
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])  # a constant stays, from the first step on
    assert smooth([1.0, 3.0])[1] == pytest.approx((0.95 * 1.0 + 3.0) / 1.95)


def test_the_suggestion_stays_below_the_lowest_loss() -> None:
    rates = np.geomspace(1e-6, 1, 61)
    smoothed = (np.log10(rates) + 2) ** 2  # lowest at a rate of 0.01
    assert RangeTest(rates, smoothed, smoothed).suggestion == pytest.approx(0.01 / 3)


def test_the_command_writes_a_table_and_a_picture(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    done = dogvscat("lr-find", drawn_photos, "--steps", "60", "--out", tmp_path / "out", "--json", *FLAGS)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["note"] == "pictures drawn by code, not photographs"
    assert 1e-6 < result["suggestion"] < 1.0
    assert result["conclusive"] is False  # sixty steps from 1e-6 teach nothing
    again = dogvscat("lr-find", drawn_photos, "--steps", "60", "--json", *FLAGS)
    assert json.loads(again.stdout) == result  # equal seeds, equal results
    assert result["now"] == 0.001
    rates = [float(row["learning_rate"]) for row in read_table(tmp_path / "out" / "learning_rates.csv")]
    assert len(rates) == result["steps"]
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(1e6) / 59)
    assert (tmp_path / "out" / "learning_rates.png").read_bytes().startswith(b"\x89PNG")


def test_the_test_trains_as_train_does_with_weights_for_unequal_classes(
    drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    """With a third of the photos of one class, balanced class weights change the loss from the first step on."""
    photos = Path(shutil.copytree(drawn_photos, tmp_path / "photos"))
    for photo in sorted((photos / "cat").iterdir())[8:]:
        photo.unlink()
    shutil.copy(next((photos / "dog").iterdir()), photos / "holiday.jpg")
    losses = {}
    for class_weights in ("none", "balanced"):
        flags = [*FLAGS, f"--set=training.class_weights={class_weights}", "--steps", "20", "--out", str(tmp_path)]
        done = dogvscat("lr-find", photos, *flags)
        assert done.returncode == 0, done.stderr
        assert "Not used, because their folders do not name a class: 1 photo" in done.stderr  # as `train` says it
        losses[class_weights] = [float(row["loss"]) for row in read_table(tmp_path / "learning_rates.csv")][:10]
    # The classes weigh 2/3 and 2, so the loss changes with every batch that is not mixed like the whole: most are not.
    ratios = np.divide(losses["balanced"], losses["none"])
    assert np.median(np.abs(ratios - 1)) > 0.05


def test_a_second_output_for_neither_class_is_refused(drawn_photos: Path, dogvscat: Dogvscat) -> None:
    done = dogvscat("lr-find", drawn_photos, "--set", "network.neither_output=true")
    assert done.returncode == 2
    assert "error: network.neither_output is set, but only `train` takes photos that show neither class" in done.stderr
    assert "hint: Add --set network.neither_output=false." in done.stderr


def test_every_command_takes_the_same_recipe_unless_another_one_is_given() -> None:
    assert options.DEFAULT_RECIPE == plan_files.DEFAULT_RECIPE == "fast"
    for command in (lr_find.command, study.command, tune.command):
        default = signature(command).parameters["recipe"].default
        assert default in (None, "fast")  # None: that of --config
    assert load_plan(None).recipe == load_space(None, None).recipe == "fast"
    assert StudyPlan().recipe == "fast"
