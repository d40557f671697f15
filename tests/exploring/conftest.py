"""Three finished runs on synthetic images, two seeds of one recipe and one with other settings."""

from pathlib import Path

import pytest

from tests.helpers import QUICK, Dogvscat, shared_folder


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> list[Path]:
    """Do not change them: tests share them."""
    runs = {
        "plain-1": ("--seed=1",),
        "plain-2": ("--seed=2",),
        "wide": ("--seed=1", "--set=network.changes=dense 16 instead of dense"),
    }

    def train(folder: Path) -> None:
        for name, flags in runs.items():
            result = dogvscat("train", drawn_photos, "--out", folder / name, *QUICK, *flags)
            assert result.returncode == 0, result.stderr

    folder = shared_folder(tmp_path_factory, "compared", train)
    return [folder / name for name in runs]
