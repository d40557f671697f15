"""Full disks and read-only folders: a named error, no half files, earlier results intact, and the same command works
once there is room. On real small disks, which only root may mount; folders become read-only for root as well.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dogvscat.photos.drawing.sample import write_sample
from tests.helpers import QUICK, Dogvscat, SmallDisk, quick_base, read_files, run_until

pytestmark = pytest.mark.slow

PAGE = 4096
FULL = "No space left on device"


def room_for(*files: Path) -> int:
    """Bytes on a disk that these files take."""
    return sum(-(-file.stat().st_size // PAGE) * PAGE for file in files)


def fill(disk: Path, leave: int) -> Path:
    """Fill the disk until only this many bytes are free."""
    filler = disk / "filler"
    state = os.statvfs(disk)
    filler.write_bytes(bytes(state.f_bavail * state.f_frsize - leave))
    return filler


def refused(result: subprocess.CompletedProcess[str], reason: str) -> str:
    """The error of a command that could not write."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    error = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert error.startswith("error: could not write ")
    assert error.endswith(f": {reason}")
    assert "hint: " in result.stderr
    return error


def test_a_training_whose_disk_fills_up_twice_ends_as_if_it_had_not(
    dogvscat: Dogvscat, quick_run: Path, drawn_photos: Path, tmp_path: Path, small_disk: SmallDisk
) -> None:
    """First the pixel cache does not fit, then the second checkpoint next to the first; then there is room."""
    disk = small_disk(128 * 1024)
    run = disk / "run"
    command = ("train", drawn_photos, "--out", run, *QUICK)
    environment = {**os.environ, "DOGVSCAT_HOME": str(disk / "home"), "MPLCONFIGDIR": str(tmp_path / "fonts")}
    assert "/home/pixels/" in refused(dogvscat(*command, env=environment), FULL)
    assert not run.exists()
    assert {path.parent.name for path in disk.rglob("*") if path.is_file()} <= {"scans"}

    before_training = ("config.toml", "environment.json", "manifest.csv", "augmentation.png", "history.csv")
    checkpoint = quick_run / "checkpoint" / "state.npz"
    room = room_for(*(quick_run / name for name in before_training), checkpoint)
    room += room_for(*(disk / "home" / "scans").iterdir()) + 48 * 32 * 32 * 3 + PAGE  # the cached scan and pixels
    small_disk(room + checkpoint.stat().st_size // 2)
    assert "/run/checkpoint/state.npz" in refused(dogvscat(*command, env=environment), FULL)
    finished = np.load(run / "checkpoint" / "state.npz")["state"].tobytes()
    assert b'"epoch": 1' in finished  # what was finished is kept
    assert not list(disk.rglob("*.partial"))

    small_disk(16 * 1024 * 1024)
    result = dogvscat("train", "--resume", run, env=environment)
    assert result.returncode == 0, result.stderr
    assert "Resuming after epoch 1" in result.stderr
    for name in ("bundle/model.onnx", "bundle/weights.npz", "predictions.csv", "manifest.csv"):
        assert (run / name).read_bytes() == (quick_run / name).read_bytes()


BASE = quick_base("training.epochs=2", "training.early_stopping_patience=0")


@pytest.mark.parametrize(
    ("command", "head", "tables", "fill_at"),
    [
        ("study", "seeds = [1, 2]\n", '[settings]\n"network.dropout" = [0.0]\n', "training 3 of 4"),
        ("tune", "", '[space]\n"network.dropout" = { low = 0.0, high = 0.6 }\n', "2 of 4 done"),
    ],
)
def test_a_disk_that_fills_up_in_the_middle_of_many_trainings_keeps_those_that_are_finished(
    dogvscat: Dogvscat,
    drawn_photos: Path,
    tmp_path: Path,
    small_disk: SmallDisk,
    command: str,
    head: str,
    tables: str,
    fill_at: str,
) -> None:
    out = small_disk(4 * 1024 * 1024) / "out"
    (tmp_path / "plan.toml").write_text(head + BASE + tables)
    arguments = [command, str(drawn_photos), "--config", str(tmp_path / "plan.toml"), "--out", str(out)]
    arguments += ["--trials", "4", "--no-pruning"] if command == "tune" else []
    stopped = run_until(fill_at, lambda _: fill(out.parent, 0), *arguments)
    assert f"error: could not write {out}" in refused(stopped, FULL)
    finished = {file: file.stat().st_mtime_ns for file in out.rglob("cell.json")}
    assert len(finished) in (2, 3)
    assert not list(out.rglob("*.partial"))

    (out.parent / "filler").unlink()
    result = dogvscat(*arguments)
    assert result.returncode == 0, result.stderr
    assert {file: file.stat().st_mtime_ns for file in finished} == finished  # none is trained again
    assert len(list(out.rglob("cell.json"))) == 4
    table = (out / ("study.csv" if command == "study" else "trials.csv")).read_text().splitlines()
    assert sum("fail" not in row for row in table[1:]) == 4


def test_an_audit_that_does_not_fit_leaves_the_one_before(
    dogvscat: Dogvscat, tmp_path: Path, small_disk: SmallDisk
) -> None:
    photos = tmp_path / "photos"
    write_sample(photos, 6, image_size=64)
    for number in range(40):
        (photos / "cat" / f"blank {number}.jpg").write_bytes(b"")
    disk = small_disk(2 * 1024 * 1024)
    command = ("audit", photos, "--out", disk / "audit")
    assert dogvscat(*command).returncode == 0
    before = read_files(disk / "audit")
    (photos / "cat" / "blank 1.jpg").unlink()
    for leave in (PAGE, 0):
        filler = fill(disk, leave)
        assert str(disk / "audit") in refused(dogvscat(*command), FULL)
        assert read_files(disk / "audit") == before
        filler.unlink()
    assert dogvscat(*command).returncode == 0
    after = read_files(disk / "audit")
    assert after.keys() == before.keys()
    assert after["issues.csv"].count(b",empty,") == 39


def test_a_disk_that_is_full_from_the_start_is_reported_at_once(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, small_disk: SmallDisk
) -> None:
    disk = small_disk(16 * PAGE)
    fill(disk, 0)
    for command in (
        ("train", drawn_photos, "--out", disk / "run"),
        ("evaluate", untouched_bundle, drawn_photos, "--out", disk / "evaluation"),
        ("sample", disk / "drawn"),
    ):
        assert str(disk) in refused(dogvscat(*command), FULL)
        assert not {path.name for path in disk.rglob("*") if path.is_file()} - {"filler"}
    full_home = {**os.environ, "DOGVSCAT_HOME": str(disk / "home")}
    assert "home/pixels" in refused(dogvscat("train", drawn_photos, env=full_home), FULL)
    for command in (
        ("audit", drawn_photos),
        ("predict", drawn_photos, "--model", untouched_bundle),
    ):  # whose caches only save time
        result = dogvscat(*command, env=full_home)
        assert result.returncode == 0, result.stderr


def test_read_only_folders_are_reported_at_once(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, tmp_path: Path, unprivileged: dict[str, Any]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "mine.txt").write_text("mine")
    closed.chmod(0o555)
    home = {**os.environ, "DOGVSCAT_HOME": str(closed)}
    try:
        for command in (
            ("train", drawn_photos, "--out", closed / "deep" / "run"),
            ("audit", drawn_photos, "--out", closed),
            ("evaluate", untouched_bundle, drawn_photos, "--out", closed / "evaluation"),
            ("sample", closed / "drawn"),
        ):
            assert str(closed) in refused(dogvscat(*command, **unprivileged), "Permission denied")
        in_there = dogvscat("train", drawn_photos, cwd=closed, **unprivileged)  # the default is runs/ in this folder
        assert "could not write runs" in refused(in_there, "Permission denied")
        assert "closed/pixels" in refused(
            dogvscat("train", drawn_photos, env=home, cwd=tmp_path, **unprivileged), "Permission denied"
        )
        for command in (("audit", drawn_photos), ("predict", drawn_photos, "--model", untouched_bundle)):
            assert dogvscat(*command, env=home, **unprivileged).returncode == 0
    finally:
        closed.chmod(0o755)
    assert read_files(tmp_path) == {"closed/mine.txt": b"mine"}


def test_a_run_that_may_no_longer_be_written_stays_as_it_is(
    dogvscat: Dogvscat, quick_run: Path, tmp_path: Path, unprivileged: dict[str, Any]
) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))  # others read the shared one at the same time
    before = read_files(run)
    folders = [run, *(path for path in run.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        result = dogvscat("train", "--resume", run, "--set", "training.epochs=3", **unprivileged)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    refused(result, "Permission denied")
    assert read_files(run) == before


@pytest.mark.parametrize("name", ["DOGVSCAT_HOME", "HOME"])
def test_a_home_that_is_not_a_folder_does_not_prevent_predictions(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, name: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("DOGVSCAT_HOME", "XDG_CACHE_HOME")}
    result = dogvscat("predict", drawn_photos, "--model", untouched_bundle, env={**environment, name: "/dev/null"})
    assert result.returncode == 0, result.stderr
