"""A run folder from its first millisecond: killed while it starts, trained in twice, damaged."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dogvscat.bundle.folder import load_bundle
from dogvscat.errors import DataError, ModelError, UsageError
from dogvscat.exploring.run_list import find_runs, summarize
from dogvscat.judging.predictions import read_predictions
from dogvscat.learning.loop.checkpoint import load_checkpoint
from dogvscat.learning.new_run import new_folder, refuse_existing
from dogvscat.learning.run import Run
from dogvscat.learning.train import resume
from dogvscat.locks import exclusive
from tests.helpers import QUICK, Dogvscat, signal_at
from tests.run_damage import HUGE, damages

STARTS = (
    (".lock",),
    (".lock", "manifest.csv"),
    (".lock", "manifest.csv", "neither.csv", "config.toml", ".environment.json-0123456789abcdef.partial"),
)
"""What a training that is killed while it starts may leave."""


@pytest.mark.parametrize("names", STARTS)
def test_a_killed_start_is_no_dead_end(tmp_path: Path, names: tuple[str, ...], quick_run: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in names:
        source = quick_run / name
        (folder / name).write_bytes(source.read_bytes() if source.is_file() else b"")
    with pytest.raises(ModelError, match="holds no training yet") as caught:
        resume(folder, [], print)
    assert "Run the same `train` command again" in str(caught.value.hint)
    refuse_existing(folder)
    with new_folder(folder, "fast") as free:
        assert free == folder
    assert find_runs(tmp_path) == ([], [])


@pytest.mark.parametrize("names", [("config.toml",), ("manifest.csv", "config.toml"), (".lock", "photo.jpg")])
def test_files_of_the_user_are_not_overwritten(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="exists already"):
        refuse_existing(tmp_path)
    with pytest.raises(UsageError, match="exists already"), new_folder(tmp_path, "fast"):
        pass


def test_numbers_of_killed_starts_are_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with new_folder(None, "fast") as first, new_folder(None, "fast") as second:
        assert [first.name, second.name] == ["fast-1", "fast-2"]
        (second / "environment.json").touch()
    with new_folder(None, "fast") as third, new_folder(None, "fast") as fourth:
        assert [third.name, fourth.name] == ["fast-1", "fast-3"]


def test_killed_before_the_first_step_the_same_command_trains(
    dogvscat: Dogvscat, tmp_path: Path, drawn_photos: Path, quick_run: Path
) -> None:
    arguments = ["train", drawn_photos, "--out", tmp_path / "run", *QUICK]
    assert signal_at("Loading Keras", signal.SIGKILL, *arguments).returncode == -signal.SIGKILL
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / ".lock").touch()  # as if it had been killed a moment later
    shutil.copy(quick_run / "config.toml", tmp_path / "run")
    again = dogvscat(*arguments)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "metrics.json").read_bytes() == (quick_run / "metrics.json").read_bytes()


def test_nobody_else_trains_in_the_folder(dogvscat: Dogvscat, tmp_path: Path, quick_run: Path) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    with exclusive(run):
        second = dogvscat("train", "--resume", run)
    assert second.returncode == 2
    assert second.stderr.startswith(f"error: another command is running in {run}")


READERS: dict[str, tuple[Callable[[Run], object], ...]] = {
    "config.toml": (Run.load_config, summarize),
    "environment.json": (Run.load_environment, Run.load_manifest, summarize),
    "manifest.csv": (Run.load_manifest,),
    "history.csv": (Run.load_history, summarize),
    "metrics.json": (Run.load_metrics, summarize),
    "predictions.csv": (lambda run: read_predictions(run.predictions_file),),
    "checkpoint/state.npz": (lambda run: load_checkpoint(run.checkpoint_file),),
}
"""What is read from each file; everything in `bundle/` is read by `load_bundle`."""


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path, quick_run: Path) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    every = damages(quick_run, tmp_path)
    num_refused = 0
    for damage in every:
        readers = READERS.get(damage.file, (lambda run: load_bundle(run.folder),) if "bundle/" in damage.file else ())
        file = run / damage.file
        if readers:
            damage.apply(file)
            num_refused += sum(_is_refused(reader, run, str(damage)) for reader in readers)
        if file.is_dir():
            file.rmdir()
        shutil.copyfile(quick_run / damage.file, file)
    assert len(every) > 1000
    assert num_refused > 1000
    summarize(Run(run))  # all damages are undone


def _is_refused(reader: Callable[[Run], object], run: Path, damage: str) -> bool:
    message = None
    try:
        reader(Run(run))
    except (ModelError, DataError) as error:
        message = error.message
    assert message is None or str(run) in message, damage
    return message is not None


ABSURD = (
    *[("environment.json", f"threads = {value}") for value in (-5, HUGE, None, "nan", "True")],
    *[("environment.json", f"{name} = {value}") for name in ("data_digest", "drawn_sample") for value in ("None", -5)],
    *[("checkpoint/state.npz", f"{name} = {HUGE}") for name in ("epoch", "step", "best_epoch")],
    *[("checkpoint/state.npz", kind) for kind in ("no best/", "best/ of NaN", "variables/ of objects", "compressed")],
    *[("history.csv", f"{name} = {value!r}") for name in ("val_accuracy", "seconds") for value in ("nan", "inf", "-1")],
    ("history.csv", "epoch = '1000000000000000000'"),
    ("metrics.json", "validation.figures.accuracy.value = nan"),
    ("metrics.json", "validation.n = -5"),
    ("predictions.csv", "a row twice"),
    ("predictions.csv", "only the header"),
    ("manifest.csv", "split = 'text'"),
)
"""Damages that must not be accepted."""


@pytest.mark.parametrize(("file", "kind"), ABSURD, ids=[f"{file}: {kind}" for file, kind in ABSURD])
def test_absurd_values_are_refused(tmp_path: Path, quick_run: Path, file: str, kind: str) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    (damage,) = [damage for damage in damages(quick_run, tmp_path) if (damage.file, damage.kind) == (file, kind)]
    damage.apply(run / file)
    with pytest.raises(ModelError, match=re.escape(str(run))):
        READERS[file][0](Run(run))


def test_a_run_does_not_resume_with_other_settings(dogvscat: Dogvscat, tmp_path: Path, quick_run: Path) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    text = (run / "config.toml").read_text()
    assert "seed = 0" in text
    (run / "config.toml").write_text(re.sub("^seed = 0", "seed = 3", text, flags=re.MULTILINE))
    result = dogvscat("train", "--resume", run)
    assert result.returncode == 4
    assert "config.toml does not have the settings that this run was started with" in result.stderr


def test_a_damaged_run_is_marked_among_the_others(dogvscat: Dogvscat, tmp_path: Path, quick_run: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(quick_run, tmp_path / name)
    history = (tmp_path / "a" / "history.csv").read_text()
    (tmp_path / "a" / "history.csv").write_text(history.replace("\n1,", "\n1,nan,", 1))
    table = dogvscat("runs", tmp_path)
    assert table.returncode == 3
    assert [line.split()[:2] for line in table.stdout.splitlines()[1:]] == [
        [str(tmp_path / "b"), "classic"],
        [str(tmp_path / "a"), "damaged"],
    ]
    assert f"error: {tmp_path}/a/history.csv is damaged" in table.stderr
    rows = [json.loads(line) for line in dogvscat("runs", tmp_path, "--json").stdout.splitlines()]
    assert [row.get("error") for row in rows] == [None, "model"]
