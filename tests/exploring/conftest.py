"""Three finished runs on synthetic images, two seeds of one recipe and one with other settings; stopped commands."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Dogvscat = Callable[..., subprocess.CompletedProcess[str]]
CutShort = Callable[[list[str], str, signal.Signals], int]


@pytest.fixture(scope="session")
def cut_short() -> CutShort:
    """Runs the command, sends it a signal when a line on stderr starts with a given text, and returns its exit status.

    Ctrl-C reaches it even where these tests run in the background, which is told to ignore that signal.
    """

    def run(arguments: list[str], start: str, number: signal.Signals) -> int:
        command = [sys.executable, "-m", "dogvscat", *arguments]
        with subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(start):
                    process.send_signal(number)
        return process.returncode

    return run


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Options of `train` for a network that trains in a moment."""
    settings = ("network.filters=[8, 8]", "network.dense_units=8", "data.image_size=32", "training.epochs=2")
    return ["--recipe=classic", *(f"--set={setting}" for setting in settings)]


@pytest.fixture(scope="session")
def three_runs(
    tmp_path_factory: pytest.TempPathFactory, quick: list[str], drawn_photos: Path, dogvscat: Dogvscat
) -> list[Path]:
    """Do not change them: tests share them."""
    folder = tmp_path_factory.mktemp("compared") / "runs"
    runs = {"plain-1": ("--seed=1",), "plain-2": ("--seed=2",), "wide": ("--seed=1", "--set=network.dense_units=16")}
    for name, flags in runs.items():
        done = dogvscat("train", drawn_photos, "--out", folder / name, *quick, *flags)
        assert done.returncode == 0, done.stderr
    return [folder / name for name in runs]
