"""The learning-rate range test on drawings."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dogvscat.exploring.lr_range import RangeTest, smooth

Dogvscat = Callable[..., subprocess.CompletedProcess[str]]


def test_smoothing_by_hand() -> None:
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])  # a constant stays, from the first step on
    assert smooth([1.0, 3.0])[1] == pytest.approx((0.95 * 1.0 + 3.0) / 1.95)


def test_the_suggestion_stays_below_the_least_loss() -> None:
    rates = np.geomspace(1e-6, 1, 61)
    smoothed = (np.log10(rates) + 2) ** 2  # least at a rate of 0.01
    assert RangeTest(rates, smoothed, smoothed).suggestion == pytest.approx(0.01 / 3)


def test_the_command_writes_a_table_and_a_picture(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    quick = ["network.filters=[8, 8]", "network.dense_units=8", "data.image_size=32", "training.batch_size=8"]
    flags = ["--recipe=classic", *(f"--set={setting}" for setting in quick)]
    done = dogvscat("lr-find", drawn_photos, "--steps", "60", "--out", tmp_path / "out", "--json", *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["note"] == "drawn sample, not photographs"
    assert 1e-6 < found["suggestion"] < 1.0
    assert found["conclusive"] is False  # sixty steps from 1e-6 teach nothing
    again = dogvscat("lr-find", drawn_photos, "--steps", "60", "--json", *flags)
    assert json.loads(again.stdout) == found  # equal seeds, equal answers
    assert found["now"] == 0.001
    with (tmp_path / "out" / "learning_rates.csv").open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert len(rates) == found["steps"]
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(1e6) / 59)
    assert (tmp_path / "out" / "learning_rates.png").read_bytes().startswith(b"\x89PNG")
