"""Fixtures for every room."""

import os
from pathlib import Path

import pytest


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
