"""`dogvscat runs` lists what was trained."""

import json
import shutil
from pathlib import Path

import pytest

from dogvscat.bundle.folder import load_bundle
from dogvscat.errors import UsageError
from dogvscat.exploring.run_list import HEADERS, find_runs, sort_runs
from tests.helpers import Dogvscat, json_lines


def test_every_run_has_a_row_with_its_figures(three_runs: list[Path]) -> None:
    rows, broken = find_runs(three_runs[0].parent)
    assert not broken
    assert [Path(row.folder).name for row in rows] == ["plain-1", "plain-2", "wide"]
    for row in rows:
        metrics = json.loads((Path(row.folder) / "metrics.json").read_text())
        assert row.validation_accuracy == metrics["validation"]["figures"]["accuracy"]["value"]
        assert row.num_validation == metrics["validation"]["n"]
        assert (row.epochs, row.finished) == (2, True)
    assert [row.seed for row in sort_runs(rows, "seed", descending=True)] == [2, 1, 1]


def test_a_run_that_is_not_finished_comes_last_where_it_has_no_value(three_runs: list[Path], tmp_path: Path) -> None:
    for run in three_runs[:2]:
        shutil.copytree(run, tmp_path / run.name)
    (tmp_path / "plain-1" / "metrics.json").unlink()
    rows, _ = find_runs(tmp_path)
    assert [Path(row.folder).name for row in sort_runs(rows, "training_accuracy", descending=False)] == [
        "plain-2",
        "plain-1",
    ]
    history = (tmp_path / "plain-1" / "history.csv").read_text().splitlines()
    unfinished = next(row for row in rows if not row.finished)
    assert unfinished.validation_accuracy == float(history[-1].split(",")[4])


def test_a_column_that_does_not_exist_suggests_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        sort_runs([], "validation_acuracy", descending=False)
    assert "Did you mean 'validation_accuracy'?" in (caught.value.hint or "")


def test_headers_of_the_table_are_columns_to_sort_by(three_runs: list[Path], dogvscat: Dogvscat) -> None:
    folder = three_runs[0].parent
    header = dogvscat("runs", folder).stdout.splitlines()[0].split()
    assert header == ["run", "recipe", "seed", "epochs", "minutes", "validation", "n", "training"]
    rows, _ = find_runs(folder)
    for word in header:
        by_header = sort_runs(rows, word, descending=True)
        assert by_header == sort_runs(rows, HEADERS.get(word, word), descending=True)
    with pytest.raises(UsageError) as caught:
        sort_runs([], "validaton", descending=False)
    assert "Did you mean 'validation'?" in (caught.value.hint or "")


def test_the_command_lists_sorts_and_names_what_is_broken(
    three_runs: list[Path], dogvscat: Dogvscat, tmp_path: Path
) -> None:
    folder = three_runs[0].parent
    done = dogvscat("runs", folder, "--sort", "-validation_accuracy", "--json")
    rows = json_lines(done.stdout)
    accuracies = [row["validation_accuracy"] for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    table = dogvscat("runs", folder).stdout.splitlines()
    assert [line.split()[0] for line in table[1:]] == [str(run) for run in three_runs]
    shutil.copytree(three_runs[0], tmp_path / "broken")
    (tmp_path / "broken" / "metrics.json").write_text("{")
    done = dogvscat("runs", tmp_path)
    assert (done.returncode, "metrics.json is damaged" in done.stderr) == (3, True)
    done = dogvscat("runs", tmp_path / "nothing")
    assert (done.returncode, "there is no folder" in done.stderr) == (3, True)


def test_a_run_at_chance_is_marked_as_everywhere_else(three_runs: list[Path], dogvscat: Dogvscat) -> None:
    rows, _ = find_runs(three_runs[0].parent)
    table = dogvscat("runs", three_runs[0].parent).stdout.splitlines()[1:]
    for row, line in zip(rows, table, strict=True):
        card = load_bundle(Path(row.folder)).card
        assert row.at_chance == (card.at_chance_warning is not None)
        interval = f"95%: {row.validation_low:.1%} to {row.validation_high:.1%}"
        assert (f"no better than guessing (n = {row.num_validation}, {interval})" in line) == row.at_chance
        figures = card.metrics["validation"]["accuracy"]
        assert (row.validation_low, row.validation_high) == (figures["low"], figures["high"])
    assert any(row.at_chance for row in rows)
