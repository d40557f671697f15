"""`dogvscat study` on synthetic images: it resumes, trains no cell twice, and keeps to its budget."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from dogvscat.config import NetworkConfig
from dogvscat.exploring.cell_result import CellResult
from dogvscat.exploring.study.cells import DivergedCell, FinishedCell, Study
from dogvscat.exploring.study.plan import STUDIES_FOLDER, StudyPlan, plan_cells
from dogvscat.exploring.study.schedule import most_informative
from dogvscat.locks import exclusive
from dogvscat.settings.keys import setting_meanings
from tests.helpers import Dogvscat, json_lines, quick_base, read_table, signal_at

pytestmark = pytest.mark.slow

STUDY = f"""
seeds = [1, 2]
{quick_base("training.epochs=2", "data.train_subset=30")}
[settings]
"network.dropout" = [0.0, 0.5]
"data.train_subset" = [10, 20]
"""

EXPLOSIVE = (
    'training.optimizer = "sgd"',
    "training.learning_rate = 10.0",
    "training.l2 = 1.0",
    "training.batch_size = 2",
)
"""Each step multiplies the weights: after a few steps the loss is infinite."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> Path:
    """A finished study that was killed in the middle. Do not change it: tests share it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)
    flags = ["--config", str(folder / "study.toml"), "--out", str(folder / "out")]
    killed = signal_at("training 4 of 8", signal.SIGKILL, "study", drawn_photos, *flags)
    assert killed.returncode == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in (folder / "out" / "cells").glob("*/cell.json")}
    assert len(finished) == 3 == len(read_table(folder / "out" / "study.csv"))
    done = dogvscat("study", drawn_photos, "--config", folder / "study.toml", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    assert "note: pictures drawn by code, not photographs" in done.stderr
    assert "5 of 8 trainings remain, which will take about" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # none was trained again
    assert "training 4 of 8" in done.stderr
    return folder


def test_every_cell_has_one_row_and_the_base_is_named(study: Path) -> None:
    rows = read_table(study / "out" / "study.csv")
    keys = [(row["setting"], row["value"], row["seed"]) for row in rows]
    assert len(set(keys)) == len(keys) == 8
    assert keys[:2] == [("base", "", "1"), ("base", "", "2")]
    assert {key[0] for key in keys} == {"base", "network.dropout", "data.train_subset"}
    for row in rows:
        assert 0.0 <= float(row["validation_accuracy"]) <= 1.0
        result = json.loads((study / "out" / "cells" / row["cell"] / "cell.json").read_text())
        assert float(row["validation_accuracy"]) == result["validation_accuracy"]


def test_trainings_on_a_subset_are_evaluated_on_the_same_photos(study: Path) -> None:
    judged, taught = set(), {}
    for row in read_table(study / "out" / "study.csv"):
        answers = read_table(study / "out" / "cells" / row["cell"] / "predictions.csv")
        judged.add(tuple(answer["path"] for answer in answers if answer["split"] == "validation"))
        learned = {answer["path"] for answer in answers if answer["split"] == "train"}
        taught[row["value"] if row["setting"] == "data.train_subset" else "30"] = learned
    assert len(judged) == 1
    assert [len(taught[count]) for count in ("10", "20", "30")] == [10, 20, 30]
    assert taught["10"] < taught["20"] < taught["30"]


def test_the_page_says_in_words_what_was_found_and_stands_alone(study: Path) -> None:
    page = (study / "out" / "study.html").read_text()
    assert "8 of 8 trainings are finished" in page
    assert "network.dropout = 0.0" in page
    assert setting_meanings(NetworkConfig)["dropout"] in page
    assert "Source: Srivastava et al., Dropout: a simple way" in page
    assert "Drawings show that the techniques act" in page
    assert "A power law needs at least three" not in page
    assert "<script" not in page
    assert '<p class="warning">pictures drawn by code, not photographs</p>' in page
    for picture in ("effects", "learning_curves", "over_fitting", "training_pictures"):
        assert (study / "out" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_leaves_a_page_of_what_is_finished(study: Path, drawn_photos: Path, tmp_path: Path) -> None:
    flags = ["--config", str(study / "study.toml"), "--out", str(tmp_path)]
    stopped = signal_at("training 4 of 8", signal.SIGINT, "study", drawn_photos, *flags)
    assert stopped.returncode == 130, stopped.stderr
    finished = len(read_table(tmp_path / "study.csv"))
    assert 3 <= finished < 8
    assert f"{finished} of 8 trainings are finished" in (tmp_path / "study.html").read_text()


def test_a_finished_study_trains_nothing_and_a_larger_one_only_what_is_new(
    study: Path, drawn_photos: Path, dogvscat: Dogvscat
) -> None:
    again = dogvscat("study", drawn_photos, "--config", study / "study.toml", "--out", study / "out", "--json")
    assert "training " not in again.stderr
    effects = json.loads(again.stdout)["effects"]
    assert {effect["setting"] for effect in effects} == {"network.dropout", "data.train_subset"}
    assert all(effect["num_seeds"] == 2 for effect in effects)


def test_a_budget_that_suffices_for_no_cell_says_what_would(
    study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    (tmp_path / "more.toml").write_text(STUDY.replace("[0.0, 0.5]", "[0.0, 0.5, 0.1]"))
    flags = ("--config", tmp_path / "more.toml", "--out", study / "out")
    done = dogvscat("study", drawn_photos, *flags, "--budget", "0.001s")
    assert done.returncode == 2
    assert "is too short for one training" in done.stderr
    assert "Give --budget" in done.stderr
    done = dogvscat("study", drawn_photos, *flags, "--budget", "soon")
    assert (done.returncode, "expected --budget as a number" in done.stderr) == (2, True)


def test_a_budget_too_small_is_refused_before_the_first_cell(
    study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    flags = ("--config", study / "study.toml", "--out", tmp_path / "out", "--budget", "0.001s")
    done = dogvscat("study", drawn_photos, *flags)
    assert done.returncode == 2
    assert "8 of 8 trainings remain, which will take about " in done.stderr
    assert "is too short for one training, which takes about " in done.stderr
    assert "Give --budget 1m or more." in done.stderr
    assert not list(tmp_path.rglob("cell.json"))


def test_a_study_with_another_base_or_fewer_settings_drops_no_rows(
    study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    before = (study / "out" / "study.csv").read_bytes()
    for text, differs in (
        (STUDY.replace('"training.epochs" = 2', '"training.epochs" = 3'), "base, training.epochs was 2 and is now 3"),
        (STUDY.replace("[10, 20]", "[10]"), "data.train_subset = 20 with seed 1 is no longer part of the study"),
        (STUDY.replace("[1, 2]", "[1]"), "the base with seed 2 is no longer part of the study"),
    ):
        (tmp_path / "other.toml").write_text(text)
        done = dogvscat("study", drawn_photos, "--config", tmp_path / "other.toml", "--out", study / "out")
        assert (done.returncode, differs in done.stderr) == (2, True), done.stderr
        assert "hint: Choose another --out; or move " in done.stderr
    assert (study / "out" / "study.csv").read_bytes() == before


def test_the_bundled_study_is_shown(dogvscat: Dogvscat) -> None:
    done = dogvscat("study", "--show")
    assert (done.returncode, done.stdout) == (0, (STUDIES_FOLDER / "fast.toml").read_text())
    assert "there is no bundled study for the recipe 'best'" in dogvscat("study", "--show", "--recipe", "best").stderr
    done = dogvscat("study", "--out", "nowhere")
    assert (done.returncode, "missing argument PHOTOS" in done.stderr) == (2, True)


def test_an_error_names_the_file_that_has_it(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[settings]\n"network.dropuot" = [0.0]')
    done = dogvscat("study", drawn_photos, "--config", file, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert f"error: {file}: network.dropuot = 0.0: there is no setting 'network.dropuot'" in done.stderr
    done = dogvscat("study", drawn_photos, "--set", "network.dropuot=0.0", "--out", tmp_path / "out")
    assert (done.returncode, "error: the base of the study: there is no setting" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_second_output_for_neither_class_is_refused(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    done = dogvscat("study", drawn_photos, "--set", "network.neither_output=true", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "error: network.neither_output is set, but only `train` takes photos that show neither class" in done.stderr
    assert "hint: Add --set network.neither_output=false." in done.stderr
    (tmp_path / "study.toml").write_text(STUDY.replace("[base]", '[base]\n"network.neither_output" = true'))
    flags = ["--config", tmp_path / "study.toml", "--out", tmp_path / "out"]
    done = dogvscat("study", drawn_photos, *flags)
    assert (done.returncode, f"{tmp_path / 'study.toml'}: network.neither_output is set" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_finished_cells_are_listed_with_what_they_found(study: Path, dogvscat: Dogvscat) -> None:
    listed = json_lines(dogvscat("runs", study / "out", "--json").stdout)
    found = {Path(row["folder"]).name: row for row in listed}
    for row in read_table(study / "out" / "study.csv"):
        assert found[row["cell"]]["finished"] is True
        assert found[row["cell"]]["validation_accuracy"] == float(row["validation_accuracy"])


def test_a_damaged_cell_is_named(study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    cell = tmp_path / "out" / "cells" / read_table(study / "out" / "study.csv")[0]["cell"]
    cell.mkdir(parents=True)
    (cell / "cell.json").write_text("{")
    done = dogvscat("study", drawn_photos, "--config", study / "study.toml", "--out", tmp_path / "out")
    assert (done.returncode, "cell.json is damaged" in done.stderr) == (4, True)


def test_the_base_comes_first_then_everything_once_then_what_is_least_certain() -> None:
    plan = StudyPlan.model_validate(
        {"recipe": "classic", "seeds": (1, 2, 3), "settings": {"network.dropout": (0.0, 0.1)}}
    )
    cells = plan_cells(plan)
    accuracies = {"": 0.8, "0.0": 0.9, "0.1": 0.801}  # the first change is clear, the second is not
    finished: list[FinishedCell] = []
    order = []
    while cells_to_start := most_informative(Study(cells, finished)):
        cell = cells_to_start[0]
        order.append((cell.treatment.value, cell.seed))
        value = accuracies[cell.treatment.value] + (0.001 * cell.seed if cell.treatment.value else 0.0)
        finished.append(FinishedCell(cell, CellResult(value, value, 1.0, 1, [])))
    assert order[:3] == [("", 1), ("0.0", 1), ("0.1", 1)]
    assert set(order) == {(cell.treatment.value, cell.seed) for cell in cells}
    assert order[3] == ("", 2)  # the base with a seed goes before anything else with it
    assert order.index(("0.1", 3)) < order.index(("0.0", 3))


def test_a_change_that_diverges_is_named_and_the_others_go_on(
    drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    text = STUDY.partition("[settings]")[0] + '[variants.proposed]\n"network.dropout" = 0.12345678901234567\n'
    (tmp_path / "study.toml").write_text(text + "[variants.explosive]\n" + "\n".join(EXPLOSIVE))
    flags = ("--config", tmp_path / "study.toml", "--out", tmp_path / "out")
    done = dogvscat("study", drawn_photos, *flags, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [effect["value"] for effect in found["effects"]] == ["proposed"]
    assert [(cell["value"], cell["seed"]) for cell in found["diverged"]] == [("explosive", 1), ("explosive", 2)]
    page = (tmp_path / "out" / "study.html").read_text()
    assert "explosive, seed 1: the loss became" in page
    assert "network.dropout = 0.1235<" in page
    assert "4 of 6 trainings are finished" in page
    again = dogvscat("study", drawn_photos, *flags)
    assert (again.returncode, "training " in again.stderr) == (0, False)
    assert "diverged:\n  explosive, seed 1: the loss became" in again.stdout


def test_a_base_that_diverges_ends_the_study(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    settings = [f"--set={setting.replace(' ', '')}" for setting in EXPLOSIVE]
    for _ in range(2):
        done = dogvscat("study", drawn_photos, "--config", tmp_path / "study.toml", "--out", tmp_path, *settings)
        assert done.returncode == 4, done.stderr
        assert "the base, seed 1: the loss became" in done.stderr
        assert "lower its training.learning_rate" in done.stderr


def test_other_photos_are_not_mixed_in(study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    shutil.copytree(drawn_photos, tmp_path / "photos")
    next((tmp_path / "photos").rglob("*.jpg")).unlink()
    before = (study / "out" / "study.csv").read_bytes()
    done = dogvscat("study", tmp_path / "photos", "--config", study / "study.toml", "--out", study / "out")
    assert (done.returncode, "learned from different photos" in done.stderr) == (3, True), done.stderr
    assert (study / "out" / "study.csv").read_bytes() == before


def test_numbers_of_photos_that_there_are_not_are_left_out(
    drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.replace("[10, 20]", "[10, 20_000]").replace("[0.0, 0.5]", "[0.5]"))
    flags = ("--config", tmp_path / "study.toml", "--out", tmp_path / "out")
    done = dogvscat("study", drawn_photos, *flags)
    assert done.returncode == 0, done.stderr
    assert "data.train_subset = 20000 is left out: there are " in done.stderr
    assert "network.dropout = 0.5 is not tried: it equals the base, or is listed twice" in done.stderr
    assert len(read_table(tmp_path / "out" / "study.csv")) == 4
    done = dogvscat("study", drawn_photos, *flags, "--set", "data.train_subset=30000")
    assert done.returncode == 3
    assert "the base of the study needs 30,000 training photos, there are only " in done.stderr
    assert "--set data.train_subset=0" in done.stderr


def test_two_commands_in_one_folder_are_refused(
    study: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    with exclusive(tmp_path):
        done = dogvscat("study", drawn_photos, "--config", study / "study.toml", "--out", tmp_path)
    assert (done.returncode, f"another command is running in {tmp_path}" in done.stderr) == (2, True)
    assert not (tmp_path / "study.csv").exists()


def test_a_treatment_that_diverged_is_tried_again_last() -> None:
    plan = StudyPlan.model_validate({"recipe": "classic", "seeds": (1, 2), "settings": {"network.dropout": (0.0, 0.1)}})
    cells = plan_cells(plan)
    base = [FinishedCell(cell, CellResult(0.8, 0.8, 1.0, 1, [])) for cell in cells[:2]]
    first, *others = most_informative(Study(cells, base, [DivergedCell(cells[2], "the loss became nan")]))
    assert (first.treatment.value, first.seed) == ("0.1", 1)
    assert (others[-1].treatment.value, others[-1].seed) == ("0.0", 2)


def test_a_seed_with_which_the_base_diverged_is_given_up_and_the_others_go_on() -> None:
    plan = StudyPlan.model_validate({"recipe": "classic", "seeds": (1, 2), "settings": {"network.dropout": (0.0,)}})
    cells = plan_cells(plan)
    study = Study(cells, [], [DivergedCell(cells[1], "the loss became nan")])
    assert [(cell.treatment.value, cell.seed) for cell in most_informative(study)] == [("", 1)]
    assert [cell.seed for cell in study.remaining] == [1, 1]
