"""`dogvscat cache` shows what is kept and clears it, and nothing else."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Dogvscat


@pytest.fixture
def home() -> Path:
    """DOGVSCAT_HOME with something in it, and a file that is not ours."""
    folder = Path(os.environ["DOGVSCAT_HOME"])
    for name, num_bytes in {"scans/a.csv": 3, "pixels/b.npy": 2_500_000, "archives/deep/c.zip": 4096}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(num_bytes))
    (folder / "mine.txt").write_text("mine")
    return folder


def sizes(dogvscat: Dogvscat) -> dict[str, int]:
    return json.loads(dogvscat("cache", "--json").stdout)["caches"]


def test_each_cache_is_shown_with_its_size_and_purpose(dogvscat: Dogvscat, home: Path) -> None:
    assert sizes(dogvscat) == {
        "archives": 4096,
        "scans": 3,
        "pixels": 2_500_000,
        "verified": 0,
        "fonts": 0,
        "compiled": 0,
    }
    result = dogvscat("cache")
    assert result.stdout.splitlines()[0] == str(home)
    assert "pixels         2.5 MB  decoded photos, ready for training" in result.stdout
    assert "scans         3 bytes" in result.stdout


def test_one_cache_is_cleared_and_the_others_stay(dogvscat: Dogvscat, home: Path) -> None:
    result = dogvscat("cache", "--clear", "pixels")
    assert result.returncode == 0
    assert "pixels: 2.5 MB freed" in result.stderr
    assert sizes(dogvscat) == {"archives": 4096, "scans": 3, "pixels": 0, "verified": 0, "fonts": 0, "compiled": 0}


def test_all_caches_are_cleared_and_what_is_not_ours_stays(dogvscat: Dogvscat, home: Path) -> None:
    result = dogvscat("cache", "--clear", "all", "--clear", "scans")
    assert result.returncode == 0
    assert set(sizes(dogvscat).values()) == {0}
    assert [path.name for path in home.iterdir()] == ["mine.txt"]
    assert dogvscat("cache", "--clear", "all").returncode == 0  # nothing there any more


def test_a_home_that_does_not_exist_is_empty(dogvscat: Dogvscat, tmp_path: Path) -> None:
    result = dogvscat("cache", "--json", env={**os.environ, "DOGVSCAT_HOME": str(tmp_path / "none")})
    assert result.returncode == 0
    assert set(json.loads(result.stdout)["caches"].values()) == {0}
    assert not (tmp_path / "none").exists()


def test_a_cache_that_cannot_be_cleared_is_not_called_cleared(
    dogvscat: Dogvscat, home: Path, unprivileged: dict[str, Any]
) -> None:
    (home / "pixels").chmod(0o555)
    try:
        result = dogvscat("cache", "--clear", "pixels", **unprivileged)
    finally:
        (home / "pixels").chmod(0o755)
    assert result.returncode == 1
    assert f"error: could not clear {home / 'pixels'}: Permission denied" in result.stderr
    assert "freed" not in result.stderr
    assert sizes(dogvscat)["pixels"] == 2_500_000
