"""Light commands import nothing heavy; every command keeps to its exit codes, streams and colors."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import Dogvscat, json_lines

pytestmark = pytest.mark.slow

HEAVY = {
    "keras",
    "tensorflow",
    "sklearn",
    "scipy",
    "matplotlib",
    "imagehash",
    "jinja2",
    "onnx",
    "pandas",
    "cleanlab",
    "optuna",
    "ray",
    "fsspec",
    "pyarrow",
}

LOADED = """
import sys
from dogvscat.cli.main import main
try:
    code = main(sys.argv[2:])
except SystemExit as stop:
    code = stop.code
open(sys.argv[1], "w").write("\\n".join(sys.modules))
sys.exit(code)
"""


def loaded_by(folder: Path, *arguments: object) -> tuple[int, set[str]]:
    """The exit code of a command and the top-level modules it imported."""
    listing = folder / "modules.txt"
    command = [sys.executable, "-c", LOADED, str(listing), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=120)
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, {name.partition(".")[0] for name in listing.read_text().split()}


def test_the_first_three_answers_load_next_to_nothing(tmp_path: Path) -> None:
    for arguments in ([], ["--version"], ["--help"]):
        code, modules = loaded_by(tmp_path, *arguments)
        assert code == 0
        assert modules & (HEAVY | {"numpy", "PIL", "onnxruntime", "filelock", "typer", "rich"}) == set(), arguments


@pytest.mark.parametrize(
    "arguments",
    [
        *("fetch --help", "train --help", "sample drawn --count 4", "cache", "cache --json"),
        *("network", "network classic --picture classic.png"),
    ],
)
def test_light_commands_load_nothing_heavy(tmp_path: Path, arguments: str) -> None:
    code, modules = loaded_by(tmp_path, *arguments.split())
    assert code == 0
    assert modules & HEAVY == set()


def test_predict_loads_nothing_heavy(tmp_path: Path, untouched_bundle: Path, drawn_photos: Path) -> None:
    code, modules = loaded_by(tmp_path, "predict", "--model", untouched_bundle, drawn_photos)
    assert code == 0
    assert "onnxruntime" in modules
    assert modules & (HEAVY | {"filelock"}) == set()  # only --out locks


def test_the_bundles_own_format_is_exported_with_nothing_heavy(tmp_path: Path, untouched_bundle: Path) -> None:
    code, modules = loaded_by(tmp_path, "export", untouched_bundle, "--format", "onnx", "--out", tmp_path / "out")
    assert code == 0
    assert modules & (HEAVY | {"openvino", "ai_edge_litert"}) == set()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("train photos --set training.epoch=3", 2),
        ("train photos --recipe clasic", 2),
        ("train nothing --out run", 3),
        ("train photos --out photos", 2),
        ("train --resume photos", 4),
        ("evaluate nothing photos --out out", 4),
        ("audit nothing", 3),
        ("audit photos --labels --out out --recipe classic", 2),
        ("audit photos --labels --out out --folds 25", 3),
        ("train photos --out run --relabel nothing.csv", 3),
        ("export nothing --format keras --out out", 4),
        ("export --format keras --out photos", 2),
        ("export --format keras --out out --photos nothing", 3),
    ],
)
def test_wrong_arguments_are_reported_before_keras_is_imported(
    tmp_path: Path, drawn_photos: Path, arguments: str, expected: int
) -> None:
    (tmp_path / "photos").symlink_to(drawn_photos)
    code, modules = loaded_by(tmp_path, *arguments.split())
    assert code == expected
    assert modules & {"keras", "tensorflow"} == set()


LIGHT = """
import sys
for name in sys.argv[1].split():
    sys.modules[name] = None  # as if it was not installed
from dogvscat.cli.main import run
run(sys.argv[2:])
"""


def test_the_light_installation_audits_evaluates_lists_and_compares(
    quick_run: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    """With none of the packages that the extras add; the result is that of the full installation."""
    missing = " ".join(sorted(HEAVY - {"jinja2"} | {"numba", "openvino", "fastapi", "uvicorn"}))

    def light(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LIGHT, missing, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)

    shutil.copytree(quick_run, tmp_path / "runs" / "first")
    shutil.copytree(quick_run, tmp_path / "runs" / "second")
    audited = light("audit", drawn_photos, "--out", "audit")
    assert audited.returncode == 0, audited.stderr
    assert {file.name for file in (tmp_path / "audit").iterdir()} == {"audit.html", "issues.csv"}
    evaluated = light("evaluate", "runs/first", drawn_photos, "--out", "evaluation", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "The report has no figures" in evaluated.stderr
    files = {file.name for file in (tmp_path / "evaluation").iterdir()}
    assert files == {"metrics.json", "model.json", "predictions.csv", "report.html"}
    metrics, at_the_end = (json.loads(text) for text in (evaluated.stdout, (quick_run / "metrics.json").read_text()))
    received, expected = (document["train"]["figures"] for document in (metrics["metrics"], at_the_end))
    for name in ("accuracy", "roc_auc", "f1_cat"):
        assert received[name]["value"] == pytest.approx(expected[name]["value"], abs=1e-3)
    listed = light("runs")
    assert listed.returncode == 0, listed.stderr
    assert "first" in listed.stdout
    compared = light("compare", "runs/first", "runs/second")
    assert compared.returncode == 0, compared.stderr
    assert "classify exactly the same ones correctly" in compared.stdout
    with_page = light("compare", "runs/first", "runs/second", "--out", "comparison")
    assert with_page.returncode == 2
    assert "this command needs the extra `train`" in with_page.stderr
    refused = light("train", drawn_photos)
    assert refused.returncode == 2
    assert "hint: Install it with: pip install 'dogvscat[train]'" in refused.stderr


def test_a_damaged_checkpoint_is_reported_before_keras_is_imported(tmp_path: Path, quick_run: Path) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    (run / "checkpoint" / "state.npz").write_bytes(b"garbage")
    code, modules = loaded_by(tmp_path, "train", "--resume", run)
    assert code == 4
    assert modules & {"keras", "tensorflow"} == set()


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("--version", 0, ""),
        ("predict {photo}", 0, ""),
        ("predict", 2, "error: Missing argument 'PHOTOS'."),
        ("predcit x", 2, "error: No such command 'predcit'. Did you mean 'predict'?"),
        ("predict --jsn x", 2, "error: No such option: --jsn (Possible options: --json)"),
        ("sample drawn --count many", 2, "error: Invalid value for '--count'"),
        ("train x --set training.epoch=3", 2, "hint: Did you mean 'training.epochs'?"),
        ("cache --clear pixel", 2, "error: there is no cache 'pixel', expected all or one of archives, scans,"),
        (
            "audit {photos} --labels",
            2,
            "error: --labels needs --out FOLDER\nhint: The networks and relabel.csv are kept",
        ),
        ("audit {photos} --labels --out out --folds 1", 2, "error: Invalid value for '--folds': "),
        ("audit {photos} --folds 3", 2, "error: --model, --recipe, --folds and --set need --labels: "),
        ("audit {photos} --fail-on neither_suspect", 2, "error: neither_suspect needs --labels"),
        ("train --resume run --relabel x.csv", 2, "error: a resumed run keeps its photos, --config, --relabel"),
        ("audit {photos} --fail-on blurry", 2, "error: there is no kind of issue 'blurry', expected any or one of"),
        ("predict nothing.jpg", 3, "error: nothing.jpg: there is no such file\n1 of 1 photo could not be used"),
        ("audit nothing", 3, "error: cannot open nothing: No such file or directory"),
        ("predict {photo} --model nothing", 4, "error: nothing does not exist"),
        ("sample {photos}", 1, "is not empty"),
    ],
)
def test_exit_codes(
    dogvscat: Dogvscat,
    tmp_path: Path,
    untouched_bundle: Path,
    drawn_photos: Path,
    arguments: str,
    code: int,
    error: str,
) -> None:
    photo = min(drawn_photos.rglob("*.jpg"))
    words = [word.format(photo=photo, photos=drawn_photos) for word in arguments.split()]
    if words[0] == "predict" and "--model" not in words:
        words += ["--model", str(untouched_bundle)]
    result = dogvscat(*words, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert error in result.stderr
    assert "Traceback" not in result.stderr
    assert not code or not result.stdout
    assert not list(tmp_path.iterdir())  # whatever failed left nothing behind


def test_ctrl_c_ends_a_prediction_with_130(quick_run: Path, drawn_photos: Path) -> None:
    command = [sys.executable, "-m", "dogvscat", "predict", "--model", str(quick_run), "-"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("This network is no better than guessing")  # now it waits for paths
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "stopped" in errors


def test_the_first_screen_names_the_next_step(dogvscat: Dogvscat) -> None:
    result = dogvscat()
    assert result.stdout.startswith("dogvscat tells dogs from cats in photographs")
    assert "Start with `dogvscat predict` on a photo of your own." in result.stdout
    assert not result.stderr
    help_page = dogvscat("--help").stdout
    commands = set(re.findall(r"^  dogvscat (\w+)", result.stdout, re.MULTILINE))
    assert {"predict", "train", "audit", "evaluate", "fetch", "sample"} <= commands
    assert all(re.search(rf"^  {command} ", help_page, re.MULTILINE) for command in commands)


def test_json_is_all_there_is_on_stdout(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    result = dogvscat("predict", "--json", "--model", untouched_bundle, drawn_photos, tmp_path / "nothing.jpg")
    rows = json_lines(result.stdout)
    assert result.returncode == 3
    assert len(rows) == 49
    assert sum("error" in row for row in rows) == 1
    audited = dogvscat("audit", "--json", drawn_photos, "--out", tmp_path / "audit")
    assert json.loads(audited.stdout)["photos"] == {"cat": 24, "dog": 24}
    kept = dogvscat("cache", "--json", "--clear", "scans")
    assert json.loads(kept.stdout)["caches"]["scans"] == 0
    assert "scans: " in kept.stderr


@pytest.mark.parametrize(
    "arguments", ["", "--help", "predict --help", "predict nothing.jpg", "predcit", "audit nothing"]
)
def test_no_colors_off_a_terminal(dogvscat: Dogvscat, untouched_bundle: Path, arguments: str) -> None:
    words = arguments.split()
    if "nothing.jpg" in words:
        words += ["--model", str(untouched_bundle)]
    result = dogvscat(*words)
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("no_color", ["", "1"])
def test_errors_are_red_on_a_terminal_unless_no_color_is_set(no_color: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dogvscat", "audit", "nothing"]
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": no_color}
    result = subprocess.run(command, stderr=theirs, env=environment, timeout=60, check=False)
    os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert result.returncode == 3
    assert b"error: cannot open nothing" in shown
    assert (b"\x1b[31m" in shown) == (not no_color)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("arguments", ["", "--version", "cache", "predict {photos} --json"])
def test_results_that_reach_no_disk_are_an_error(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, arguments: str
) -> None:
    words = arguments.format(photos=drawn_photos).split()
    words += ["--model", str(untouched_bundle)] if "predict" in words else []
    with Path("/dev/full").open("w") as full:
        result = dogvscat(*words, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert "error: could not write the results to stdout: No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reader_that_closes_the_pipe_is_not_an_error(untouched_bundle: Path, drawn_photos: Path) -> None:
    command = [sys.executable, "-m", "dogvscat", "predict", "--json", "--model", str(untouched_bundle)]
    command += [str(drawn_photos)] * 40  # far more rows than a pipe holds
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["path"]
        process.stdout.close()
        assert process.stderr.read() == ""
