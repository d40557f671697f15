"""`dogvscat tune` on synthetic images: it resumes, refuses another search's storage, and its best settings train."""

import json
import shutil
import signal
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from scipy import stats

from dogvscat.config import Config
from dogvscat.errors import ConfigError, UsageError
from dogvscat.exploring.search.search import Search, open_search, propose
from dogvscat.exploring.search.space import SPACES_FOLDER, SearchSpace, load_space
from dogvscat.exploring.study.plan import load_plan, plan_cells, treatment_name
from dogvscat.exploring.training_job import config_name
from dogvscat.locks import exclusive
from dogvscat.settings.resolve import build_config, with_settings
from dogvscat.settings.toml import read_toml, to_toml, toml_value
from tests.helpers import Dogvscat, plain_layers, quick_base, read_table, signal_at

pytestmark = pytest.mark.slow

SPACE = f"""
{quick_base("training.epochs=3", "training.early_stopping_patience=0")}
[space]
"training.learning_rate" = {{ low = 1e-4, high = 1e-2, log = true }}
"training.batch_size" = {{ choices = [4, 8] }}
"training.plateau_patience" = {{ low = 4, high = 8, step = 2 }}
"""


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> Path:
    """A search of six trials that was killed after the second. Do not change it: tests share it."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "space.toml").write_text(SPACE)
    flags = ["--config", str(folder / "space.toml"), "--out", str(folder / "out"), "--trials", "6"]
    killed = signal_at("2 of 6 done", signal.SIGKILL, "tune", drawn_photos, *flags)
    assert killed.returncode == -signal.SIGKILL
    done = dogvscat("tune", drawn_photos, *flags, "--json")
    assert done.returncode == 0, done.stderr
    assert "1 of 6 done" not in done.stderr  # what was finished is kept
    (folder / "result.json").write_text(done.stdout)
    return folder


def test_six_trials_were_run_and_none_is_counted_twice(search: Path) -> None:
    rows = read_table(search / "out" / "trials.csv")
    ended = [row for row in rows if row["state"] in ("complete", "pruned")]
    assert len(ended) == 6
    assert len({row["trial"] for row in rows}) == len(rows)
    assert (
        len({row["training.learning_rate"] for row in ended}) == 6
    )  # a search that was stopped proposes no trial twice
    for row in ended:
        assert 1e-4 <= float(row["training.learning_rate"]) <= 1e-2
        assert row["training.batch_size"] in ("4", "8")
        assert row["training.plateau_patience"] in ("4", "6", "8")
    finished = [float(row["validation_accuracy"]) for row in ended if row["state"] == "complete"]
    assert json.loads((search / "result.json").read_text())["validation_accuracy"] == max(finished)


def test_optuna_itself_reads_the_storage(search: Path) -> None:
    backend = JournalFileBackend(str(search / "out" / "trials.journal"))
    study = optuna.load_study(study_name="dogvscat-classic", storage=optuna.storages.JournalStorage(backend))
    best = json.loads((search / "result.json").read_text())
    assert study.best_value == best["validation_accuracy"]
    texts = {"training.batch_size": str(best["settings"]["training.batch_size"])}  # choices are stored as text
    assert study.best_params == {**best["settings"], **texts}


def test_the_best_settings_train_to_what_the_search_found(
    search: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    best = json.loads((search / "result.json").read_text())
    config = build_config(read_toml(search / "out" / "best.toml"))
    assert config.training.learning_rate == best["settings"]["training.learning_rate"]
    assert config.training.batch_size == best["settings"]["training.batch_size"]
    done = dogvscat("train", drawn_photos, "--recipe", search / "out" / "best.toml", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    last = read_table(tmp_path / "run" / "history.csv")[-1]
    assert float(last["val_accuracy"]) == best["validation_accuracy"]  # same seed, same machine, same result


def test_the_result_has_n_and_wilson_s_interval(search: Path) -> None:
    best = json.loads((search / "result.json").read_text())
    config = build_config(read_toml(search / "out" / "best.toml"))
    predictions = read_table(search / "out" / "trials" / config_name(config) / "predictions.csv")
    judged = [row for row in predictions if row["split"] == "validation"]
    right = round(best["validation_accuracy"] * len(judged))
    expected = stats.binomtest(right, len(judged)).proportion_ci(method="wilson")
    assert best["n"] == len(judged)
    assert (best["low"], best["high"]) == pytest.approx((expected.low, expected.high))


def test_a_study_puts_the_best_to_the_test_with_other_seeds(search: Path) -> None:
    cells = plan_cells(load_plan(search / "out" / "confirm.toml"))
    base = load_space(search / "space.toml", None)
    best = build_config(read_toml(search / "out" / "best.toml"))
    assert [cell.seed for cell in cells] == [1, 2, 3, 4, 5] * 2  # the search had seed 0
    for cell in cells[:5]:
        assert cell.config == base.config({}, cell.seed)
    for cell in cells[5:]:
        assert with_settings(cell.config, ["training.seed=0"]) == best
        assert treatment_name(cell.treatment.setting, cell.treatment.value).startswith("the best of the search, trial ")


def test_trials_are_pruned_after_a_sixth_and_a_half_of_the_epochs(tmp_path: Path) -> None:
    """Nine trials, each worse than the one before: only the first does not fall behind another."""
    space = SearchSpace(
        recipe="classic", base={"training.epochs": 12}, space={"network.dropout": {"low": 0.0, "high": 0.5}}
    )
    search = Search(space)
    study = open_search(search, tmp_path)
    ended = []
    for number in range(9):
        trial = propose(study, search)
        for epoch in range(1, 12):
            trial.report(0.9 - number / 100, epoch)
            if trial.should_prune():
                break
        ended.append(epoch)
        study.tell(trial, state=TrialState.PRUNED)
    # the best n // 3 of n pass, but at least one: the first trial, at both rungs
    assert ended == [11, 2, 2, 2, 2, 2, 2, 2, 2]
    better = propose(study, search)
    better.report(0.95, 2)
    assert not better.should_prune()
    better.report(0.85, 6)  # the first had 0.9 here
    assert better.should_prune()


def test_a_recipe_that_changed_meanwhile_is_another_search(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    search = Search(SearchSpace(recipe=str(recipe), space={"network.dropout": {"low": 0.0, "high": 0.5}}))

    def written(**settings: object) -> None:
        tables = {"data": {"image_size": 64}, "network": {"dropout": settings.pop("dropout", 0.25)}}
        recipe.write_text(to_toml(build_config({**tables, "training": settings})))

    written()
    study = open_search(search, tmp_path)
    study.tell(propose(study, search), 0.9)
    written(dropout=0.5)  # the search chooses this one itself
    assert len(open_search(search, tmp_path).trials) == 1
    written(epochs=7, weight_decay=0.001, seed=3)  # the search sets its own seed
    with pytest.raises(UsageError) as caught:
        open_search(search, tmp_path)
    defaults = Config().training
    assert caught.value.message == (
        f"the storage holds another search: training.epochs was {defaults.epochs} and is now 7, "
        f"training.weight_decay was {defaults.weight_decay} and is now 0.001"
    )


def test_the_bundled_space_is_shown(dogvscat: Dogvscat) -> None:
    done = dogvscat("tune", "--show", "--recipe", "fast")
    assert (done.returncode, done.stdout) == (0, (SPACES_FOLDER / "fast.toml").read_text())
    assert (dogvscat("tune").returncode, "missing argument PHOTOS" in dogvscat("tune").stderr) == (2, True)


def test_the_figures_are_there(search: Path) -> None:
    for picture in ("history", "parallel"):
        assert (search / "out" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed", "5"], "holds another search: seed was 0 and is now 5"),
        (
            ["--sampler", "random"],
            "another search: sampler was tpe and is now random",
        ),
        (["--set", "training.epochs=4"], "another search: training.epochs was 3 and is now 4\n"),
        (["--sampler", "tpee"], "there is no sampler 'tpee'"),
        (["--storage", "postgresql+pg8000://127.0.0.1:1/none"], "cannot be used"),
        (["--timeout", "soon"], "expected --timeout as a number followed by s, m or h"),
    ],
)
def test_what_cannot_go_on_is_refused(
    search: Path, drawn_photos: Path, dogvscat: Dogvscat, flags: list[str], message: str
) -> None:
    common = ("--config", search / "space.toml", "--out", search / "out", "--trials", "6")
    done = dogvscat("tune", drawn_photos, *common, *flags)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_sqlite_by_url(search: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    flags = ("--config", search / "space.toml", "--out", tmp_path / "out", "--trials", "1", "--storage", url)
    done = dogvscat("tune", drawn_photos, *flags, "--sampler", "random", "--no-pruning")
    assert done.returncode == 0, done.stderr
    assert len(optuna.load_study(study_name="dogvscat-classic", storage=url).trials) == 1
    assert not (tmp_path / "out" / "trials.journal").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[space]\n"network.dropuot" = { low = 0.0, high = 0.5 }', "no setting 'network.dropuot'"),
        (
            '[space]\n"network.dropout" = { low = 0.5, high = 0.5 }',
            "low must be smaller than high, received 0.5 and 0.5",
        ),
        ('[space]\n"network.dropout" = { low = 0.0, high = 0.5, log = true }', "logarithmic scale must start above 0"),
        ('[space]\n"network.dropout" = { low = 0.0 }', "either low and high, or choices; received low"),
        ('[spaces]\n"network.dropout" = { low = 0.0, high = 1.0 }', "spaces"),
        ('[space]\n"network.dropout" = { low = 0.0, high = inf }', "expected finite numbers, received inf"),
        (
            '[space]\n"training.epochs" = { low = 8, high = 32, step = nan }',
            "expected finite numbers, received nan",
        ),
        ('[space]\n"training.batch_size" = { low = 32.0, high = 128.0 }', "expected a whole number, received 62.5"),
        ('[space]\n"network.dropout" = { low = 0.0, high = 1.5 }', "network.dropout: expected less than 1.0"),
        ('[space]\n"network.dropout" = { choices = ["much"] }', 'network.dropout: expected a number, received "much"'),
        ('[space]\n"network.dropout" = { low = 0.1, high = 0.5, log = true, step = 0.1 }', "a step needs low and"),
        (
            '[space]\n"training.epochs" = { low = 8, high = 32, step = 0.5 }',
            "a step that is a whole number above 0",
        ),
        ('[space]\n"network.dropout" = { low = 0.1, high = 0.5, step = 0.0 }', "a step that is a number above 0"),
        ('[space]\n"training.seed" = { choices = [1, 2] }', "training.seed cannot be in [space]"),
        (
            '[space]\n"training.neither_share" = { low = 0.1, high = 0.5 }',
            "train without photos that show neither class",
        ),
        (
            '[space]\n"training.warmup_share" = { low = 0.1, high = 0.3 }',
            'no effect while training.schedule = "reduce_on_plateau"',
        ),
        ('[space]\n"network.changes" = { choices = [[], "nrom after each conv"] }', "Did you mean 'norm'?"),
        ('[space]\n"network.stem_filters" = { low = 8, high = 32 }', "no setting 'network.stem_filters' any more"),
    ],
)
def test_a_space_that_cannot_be_searched_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "space.toml").write_text(f'recipe = "classic"\n{text}')
    with pytest.raises(ConfigError, match=r"space\.toml") as caught:
        load_space(tmp_path / "space.toml", None)
    assert message in caught.value.message
    assert caught.value.message.count("received") <= 1


def test_a_second_output_for_neither_class_is_refused(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    done = dogvscat("tune", drawn_photos, "--set", "network.neither_output=true", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "error: network.neither_output is set, but only `train` takes photos that show neither class" in done.stderr
    assert "hint: Add --set network.neither_output=false." in done.stderr
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("name", [path.stem for path in SPACES_FOLDER.glob("*.toml")])
def test_the_bundled_spaces_are_possible_at_their_corners(name: str) -> None:
    space: SearchSpace = load_space(None, name)
    for corner in ("low", "high"):
        values = {
            key: getattr(dimension, corner) if dimension.low is not None else dimension.choices[-1]
            for key, dimension in space.space.items()
        }
        space.config(values, seed=0)


def test_values_that_do_not_go_together_are_a_trial_and_no_end(
    drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    many = plain_layers(8, 8, 8, 8, 8, 8)  # they use up 32 pixels
    impossible = f'"network.layers" = {{ choices = [{toml_value(many)}, {toml_value(plain_layers(8, 8))}] }}'
    (tmp_path / "space.toml").write_text(SPACE.partition('"training.learning_rate"')[0] + impossible)
    flags = ("--config", tmp_path / "space.toml", "--out", tmp_path / "out", "--sampler", "random", "--trials", "6")
    done = dogvscat("tune", drawn_photos, *flags)
    assert done.returncode == 0, done.stderr
    assert " is impossible: network.layers: after layer 9 (pool3) the picture is 2 x 2: layer 10 " in done.stderr
    rows = read_table(tmp_path / "out" / "trials.csv")
    assert len(rows) == 6
    assert {row["state"] for row in rows} == {"complete", "pruned"}


def test_a_search_that_others_share_leaves_their_trials_alone(
    drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    """Two folders, one database: a search requeues only the trials that were stopped in its own folder."""
    (tmp_path / "space.toml").write_text(SPACE)
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    flags = ("--config", tmp_path / "space.toml", "--storage", url, "--trials")
    done = dogvscat("tune", drawn_photos, *flags, "1", "--out", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    study = optuna.load_study(study_name="dogvscat-classic", storage=url)
    owner = study.trials[0].user_attrs["owner"]
    under_way = {name: study.ask(study.trials[0].distributions) for name in (owner, "another")}
    for name, trial in under_way.items():
        trial.set_user_attr("owner", name)
    done = dogvscat("tune", drawn_photos, *flags, "2", "--out", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    states = {trial.number: trial.state for trial in study.get_trials()}
    assert states[under_way[owner].number] == TrialState.FAIL
    assert states[under_way["another"].number] == TrialState.RUNNING
    again = next(trial for trial in study.get_trials() if trial.number == max(states))
    assert (again.state.is_finished(), again.params) == (True, under_way[owner].params)


def test_other_photos_and_a_second_command_are_refused(
    search: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    flags = ("--config", search / "space.toml", "--out", search / "out", "--trials", "6")
    shutil.copytree(drawn_photos, tmp_path / "photos")
    next((tmp_path / "photos").rglob("*.jpg")).unlink()
    done = dogvscat("tune", tmp_path / "photos", *flags)
    assert (done.returncode, "the search was started with different photos" in done.stderr) == (3, True), done.stderr
    with exclusive(search / "out"):
        done = dogvscat("tune", drawn_photos, *flags)
    assert (done.returncode, "another command is running in" in done.stderr) == (2, True), done.stderr


def test_another_storage_does_not_take_up_trainings_on_other_photos(
    search: Path, drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path
) -> None:
    """Equal settings and seed give an equal folder name, so only the photos show that the training there is another."""
    shutil.copytree(search / "out" / "trials", tmp_path / "out" / "trials")
    shutil.copytree(drawn_photos, tmp_path / "photos")
    next((tmp_path / "photos").rglob("*.jpg")).unlink()
    flags = ("--config", search / "space.toml", "--out", tmp_path / "out", "--trials", "1")
    done = dogvscat("tune", tmp_path / "photos", *flags)
    assert (done.returncode, "learned from different photos" in done.stderr) == (3, True), done.stderr


def test_more_photos_than_there_are_are_not_searched(drawn_photos: Path, dogvscat: Dogvscat, tmp_path: Path) -> None:
    # The base of the bundled space learns from 5,000.
    done = dogvscat("tune", drawn_photos, "--out", tmp_path / "out", "--trials", "1")
    assert done.returncode == 3
    assert "the search needs up to 5,000 training photos, there are only " in done.stderr
    assert "Add --set data.train_subset=0" in done.stderr
    (tmp_path / "space.toml").write_text(SPACE)
    flags = ("--config", tmp_path / "space.toml", "--out", tmp_path / "out", "--set", "training.epochs=1")
    done = dogvscat("tune", drawn_photos, *flags, "--trials", "1")
    assert done.returncode == 0, done.stderr
    assert build_config(read_toml(tmp_path / "out" / "best.toml")).training.epochs == 1


def test_ctrl_c_leaves_tables_of_what_is_finished(search: Path, drawn_photos: Path, tmp_path: Path) -> None:
    flags = ["--config", str(search / "space.toml"), "--out", str(tmp_path), "--trials", "6"]
    stopped = signal_at("2 of 6 done", signal.SIGINT, "tune", drawn_photos, *flags)
    assert stopped.returncode == 130, stopped.stderr
    assert [row["state"] for row in read_table(tmp_path / "trials.csv")].count("complete") >= 1
    assert (tmp_path / "best.toml").exists()
