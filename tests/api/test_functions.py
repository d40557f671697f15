"""The functions of `import dogvscat`: the examples of docs/python.md, and the same results as the commands."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import dogvscat
from dogvscat.errors import ConfigError
from dogvscat.learning.run import Run
from tests.helpers import Dogvscat, draw_photos

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


class Cells(HTMLParser):
    """The texts of the cells of a table, as a browser would show them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_the_examples_of_the_document_run(tmp_path: Path, drawn_photos: Path) -> None:
    (tmp_path / "photos").symlink_to(drawn_photos)
    (tmp_path / "photo.jpg").symlink_to(min((drawn_photos / "dog").glob("*.jpg")))
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(PROGRAMS)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "<Audit of photos: 24 cat, 24 dog; issues: " in result.stdout
    assert "<Run runs/classic-1: validation accuracy " in result.stdout
    assert "<Predictor classic-1@" in result.stdout
    assert "Prediction(path='photo.jpg', label=" in result.stdout
    assert "cannot open missing" in result.stdout
    assert result.stdout.splitlines()[-2:] == ["(1, 1)", "(3, 3, 3, 32)"]


def test_the_package_itself_loads_nothing_heavy() -> None:
    script = "import sys, dogvscat; dogvscat.train; print(sorted({'numpy', 'keras', 'PIL', 'jinja2'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_evaluating_gives_what_the_command_gives(
    quick_run: Path, drawn_photos: Path, tmp_path: Path, dogvscat: Dogvscat
) -> None:
    import dogvscat as package

    messages: list[str] = []
    evaluation = package.evaluate(quick_run, str(drawn_photos), report=messages.append)
    command = dogvscat("evaluate", quick_run, drawn_photos, "--json")
    metrics = json.loads(command.stdout)["metrics"]
    assert {name: result.to_dict() for name, result in evaluation.results.items()} == metrics
    assert all(message in command.stderr for message in messages)
    assert re.match(r"<Evaluation of quick@[0-9a-f]{12}: \w+: accuracy ", repr(evaluation))
    accuracy = metrics["validation"]["figures"]["accuracy"]
    assert f"{accuracy['value']:.4f}" in Cells(evaluation._repr_html_()).cells


def test_results_show_themselves_and_names_do_nothing(quick_run: Path, tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "<script>", range(2), 40)
    audit = dogvscat.audit(photos, out=tmp_path / "audit")
    assert (tmp_path / "audit" / "issues.csv").is_file()
    shown = Cells(audit._repr_html_())
    assert shown.cells[:3] == ["issue", "photos", "meaning"]
    (prediction,) = dogvscat.Predictor.load().predict([photos / "cat" / "0.png"])
    assert isinstance(prediction, dogvscat.Prediction)
    shown = Cells(prediction._repr_html_())
    assert str(photos / "cat" / "0.png") in shown.cells
    assert "script" not in shown.tags
    run = Cells(Run(quick_run)._repr_html_())
    assert run.cells[0].startswith(f"<Run {quick_run}: validation accuracy ")
    assert {"table", "img"} <= run.tags


def test_a_run_without_results_still_has_a_name(tmp_path: Path) -> None:
    run = Run(tmp_path / "a\x1bb")
    assert repr(run) == f"<Run {tmp_path}/a\\x1bb: not finished>"
    run.folder.mkdir()
    run.metrics_file.write_text("{")
    assert repr(run).endswith(": its metrics.json is damaged>")


def test_an_audit_finds_what_the_command_finds(tmp_path: Path, dogvscat: Dogvscat) -> None:
    import dogvscat as package

    photos = draw_photos(tmp_path / "photos", range(2), 64)
    (photos / "dog" / "empty.png").write_bytes(b"")
    command = json.loads(dogvscat("audit", photos, "--json", "--out", tmp_path / "command").stdout)
    audit = package.audit(photos, out=tmp_path / "package", isolate=True)
    assert (audit.count_classes(), audit.count_kinds()) == (command["photos"], command["issues"])
    assert audit.count_kinds()["empty"] == 1
    tables = [(tmp_path / name / "issues.csv").read_text(encoding="utf-8") for name in ("command", "package")]
    assert tables[0] == tables[1]


def test_settings_may_be_numbers_of_numpy_or_texts(quick_run: Path) -> None:
    for settings in ({"training.learning_rate": np.float64(-1)}, "training.learning_rate=-1"):
        with pytest.raises(ConfigError, match=r"learning_rate.*-1"):
            dogvscat.train(quick_run, "classic", settings=settings)


def test_a_mistake_is_the_error_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epoch") as caught:
        dogvscat.train(tmp_path, "classic", settings={"training.epoch": 3})
    assert "training.epochs" in f"{caught.value.message} {caught.value.hint}"
