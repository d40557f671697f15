"""`dogvscat visualize`: a page in a new folder, and what it says when there is none."""

import json
from pathlib import Path

import pytest

from tests.helpers import ChangeCard, Dogvscat

pytestmark = pytest.mark.slow


def test_a_run_gets_a_page_that_is_complete(
    quick_run: Path, tmp_path: Path, dogvscat: Dogvscat, onnxruntime_web: Path
) -> None:
    out = tmp_path / "inside"
    for _ in range(2):  # an earlier page is replaced
        result = dogvscat("visualize", quick_run, "--out", out)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{out}/index.html\n"
        assert "differs from the bundle by at most" in result.stderr
    page = (out / "index.html").read_text()
    description = json.loads((out / "preprocessing.json").read_text())
    listed = {*description["files"], "preprocessing.json"}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == listed
    assert all(f'src="{name}"' in page for name in listed if name.startswith("scripts/"))
    assert "http:" not in page
    assert "https:" not in page
    (out / "mine.txt").write_text("mine")
    result = dogvscat("visualize", quick_run, "--out", out)
    assert result.returncode == 2
    assert "mine.txt was added or changed after the export" in result.stderr


def test_a_bundle_of_another_form_is_refused_in_a_sentence(
    bundle: Path, change_card: ChangeCard, tmp_path: Path, dogvscat: Dogvscat
) -> None:
    result = dogvscat("visualize", bundle, "--out", tmp_path / "page")
    assert result.returncode == 4
    assert "has no value for scaling, so its layers cannot be shown" in result.stderr
    change_card(lambda card: card.update(format_version=3))
    result = dogvscat("visualize", bundle, "--out", tmp_path / "page")
    assert result.returncode == 4
    assert "format_version" in result.stderr
    assert "Another version of dogvscat made this bundle" in result.stderr
    assert not (tmp_path / "page").exists()


def test_without_npm_the_error_says_how_to_install_it(
    quick_run: Path, tmp_path: Path, dogvscat: Dogvscat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = dogvscat("visualize", quick_run, "--out", tmp_path / "page")
    assert result.returncode == 2
    assert "needs node, which is not installed" in result.stderr
