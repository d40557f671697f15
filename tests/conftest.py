"""Fixtures for every room."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dogvscat.photos.drawing import write_sample

Dogvscat = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("network.filters=[8, 8]", "network.dense_units=8", "data.image_size=32", "training.epochs=2")
"""Settings of a network that trains in a second; it learns nothing worth knowing."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has caches of its own and a plain environment."""
    monkeypatch.setenv("DOGVSCAT_HOME", str(tmp_path_factory.mktemp("home")))
    for name in ("DOGVSCAT_DATA", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with `kagglecatsanddogs.zip`, `photos/` and `neither.zip`."""
    folder = os.environ.get("DOGVSCAT_TEST_DATA")
    if not folder:
        pytest.skip("real photos are needed: set DOGVSCAT_TEST_DATA to a folder with kagglecatsanddogs.zip and photos/")
    return Path(folder)


@pytest.fixture(scope="session")
def dogvscat() -> Dogvscat:
    """Runs the command line in a process of its own: `dogvscat("predict", photo)`; output is text, never a terminal."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dogvscat", *map(str, arguments)]
        defaults = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 300}
        return subprocess.run(command, **{**defaults, **options}, check=False)  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 48 drawn cats and dogs. Do not change it: tests share it."""
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    write_sample(folder, 48, seed=1, image_size=64)
    return folder


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> Path:
    """A finished run folder of a network that trained for a second. Do not change it: tests share it."""
    folder = tmp_path_factory.mktemp("runs") / "quick"
    settings = [part for setting in QUICK for part in ("--set", setting)]
    done = dogvscat("train", drawn_photos, "--out", folder, *settings)
    assert done.returncode == 0, done.stderr
    return folder
