"""What a study file means."""

from pathlib import Path

import pytest

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.exploring.search.space import load_space
from dogvscat.exploring.study.plan import STUDIES_FOLDER, StudyPlan, load_plan, plan_cells, report_untried
from dogvscat.settings.keys import differences
from tests.helpers import plain_layers


def plan(**fields: object) -> StudyPlan:
    return StudyPlan.model_validate({"recipe": "classic", "seeds": (1, 2), **fields})


def test_each_value_is_tried_alone_against_the_base() -> None:
    cells = plan_cells(
        plan(
            base={"training.epochs": 3, "data.image_size": 32},
            settings={"network.dropout": (0.0, 0.25), "training.schedule": ("constant",)},
            variants={"slow SGD": {"training.optimizer": "sgd", "training.learning_rate": 0.01}},
        )
    )
    base: Config = cells[0].config
    assert [(cell.treatment.setting, cell.treatment.value, cell.seed) for cell in cells] == [
        ("base", "", 1),
        ("base", "", 2),
        ("network.dropout", "0.0", 1),
        ("network.dropout", "0.0", 2),
        ("network.dropout", "0.25", 1),
        ("network.dropout", "0.25", 2),
        ("training.schedule", '"constant"', 1),
        ("training.schedule", '"constant"', 2),
        ("variant", "slow SGD", 1),
        ("variant", "slow SGD", 2),
    ]
    assert (base.training.epochs, base.data.image_size) == (3, 32)
    assert [[key for key, _, _ in differences(base, cell.config)] for cell in cells[::2]] == [
        [],
        ["network.layers"],
        ["network.layers"],
        ["training.schedule"],
        ["training.optimizer", "training.learning_rate"],
    ]


def test_keys_may_be_written_as_tables_in_tables(tmp_path: Path) -> None:
    quoted = (
        '[base]\n"training.epochs" = 3\n[settings]\n"network.dropout" = [0.0]\n'
        "[variants.slow]\n\"training.optimizer\" = 'sgd'\n"
    )
    (tmp_path / "quoted.toml").write_text(quoted)
    (tmp_path / "plain.toml").write_text(quoted.replace('"', ""))
    assert load_plan(tmp_path / "plain.toml") == load_plan(tmp_path / "quoted.toml")


def test_a_value_that_is_the_base_s_is_no_cell_of_its_own() -> None:
    cells = plan_cells(plan(settings={"network.dropout": (0.5, 0.0)}))  # 0.5 is classic's
    assert [cell.treatment.value for cell in cells] == ["", "", "0.0", "0.0"]
    assert len({cell.name for cell in cells}) == len(cells)


def test_what_has_no_effect_is_not_tried_and_said() -> None:
    off = {"augmentation.enabled": False}
    wanted = plan(
        settings={"training.warmup_share": (0.1, 0.3), "augmentation.enabled": (False,), "network.dropout": (0.5,)},
        variants={
            "off, with cutout": off | {"augmentation.cutout": 0.3},
            "off, no dropout": off | {"augmentation.cutout": 0.3, "network.dropout": 0.0},
        },
    )
    cells = plan_cells(wanted)
    assert [cell.treatment.value for cell in cells[::2]] == ["", "false", "off, no dropout"]
    reports: list[str] = []
    report_untried(wanted, cells, reports.append)
    why = 'while training.schedule = "reduce_on_plateau"'
    idle = "augmentation.cutout has no effect while augmentation.enabled = false"
    assert reports == [
        f"training.warmup_share = 0.1 is not tried: training.warmup_share has no effect {why}",
        f"training.warmup_share = 0.3 is not tried: training.warmup_share has no effect {why}",
        "network.dropout = 0.5 is not tried: it equals the base, or is listed twice",
        f"off, with cutout is not tried: {idle}",
        f"off, no dropout: {idle}",
    ]


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"settings": {"network.dropuot": (0.0,)}}, "no setting 'network.dropuot'", "Did you mean 'network.dropout'?"),
        ({"settings": {"network.dropout": (1.5,)}}, "network.dropout: expected less than 1.0, received 1.5", ""),
        (
            {"settings": {"data.image_size": (32,)}, "base": {"network.layers": plain_layers(*[8] * 6)}},
            "the picture is 2 x 2",
            "",
        ),
        ({"base": {"dropout": 0.1}, "settings": {"network.dropout": (0.0,)}}, "expected --set section.key=value", ""),
    ],
)
def test_what_cannot_be_tried_is_named(fields: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_cells(plan(**fields))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_file_with_an_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("[setings]\n")
    with pytest.raises(ConfigError, match="a study has no entry 'setings'") as caught:
        load_plan(tmp_path / "study.toml")
    assert "Did you mean 'settings'?" in (caught.value.hint or "")
    (tmp_path / "study.toml").write_text("seeds = 2\n")
    with pytest.raises(ConfigError, match="seeds: expected a list in brackets, such as"):
        load_plan(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text("seeds = [1, 2, 1]\n")
    with pytest.raises(ConfigError, match=r"seeds: expected each seed only once, received \[1, 2, 1\]"):
        load_plan(tmp_path / "study.toml")
    with pytest.raises(ConfigError, match="the study tries nothing"):
        plan_cells(StudyPlan())
    with pytest.raises(ConfigError, match="there is no bundled study for the recipe 'best'"):
        load_plan(None, "best")
    with pytest.raises(ConfigError) as caught:
        load_plan(None, "clasic")
    assert (caught.value.hint or "").endswith("Did you mean 'classic'?")


def test_settings_given_with_the_command_win_over_the_base(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        'seeds = [1]\n[base]\n"training.epochs" = 3\n"training.threads" = 2\n[settings]\n"network.dropout" = [0.0]\n'
    )
    cells = plan_cells(load_plan(tmp_path / "study.toml", None, ["training.threads=1", "data.image_size=32"]))
    trained = [(c.config.training.epochs, c.config.training.threads, c.config.data.image_size) for c in cells]
    assert trained == [(3, 1, 32)] * 2
    with pytest.raises(ConfigError, match="expected --set section"):
        load_plan(tmp_path / "study.toml", None, ["threads=1"])


def test_a_study_and_a_search_space_are_told_apart(tmp_path: Path) -> None:
    study, space = tmp_path / "study.toml", tmp_path / "space.toml"
    study.write_text('seeds = [1]\n[settings]\n"network.dropout" = [0.0]\n')
    space.write_text('[space]\n"network.dropout" = { low = 0.0, high = 0.6 }\n')
    with pytest.raises(ConfigError, match="is a search space, for `dogvscat tune --config`"):
        load_plan(space)
    with pytest.raises(ConfigError, match="is a study, for `dogvscat study --config`"):
        load_space(study, None)
    assert list(load_plan(study).settings) == list(load_space(space, None).space) == ["network.dropout"]


@pytest.mark.parametrize("name", [path.stem for path in STUDIES_FOLDER.glob("*.toml")])
def test_the_bundled_studies_are_possible(name: str) -> None:
    builtin = load_plan(None, name)
    cells = plan_cells(builtin)
    assert len({cell.treatment for cell in cells}) > 12
    assert {cell.seed for cell in cells} == set(builtin.seeds)
    assert len(builtin.seeds) >= 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"settings": {"data.split_seed": (1, 2)}},
            "data.split_seed cannot be in [settings]: every training is evaluated",
        ),
        ({"settings": {"training.seed": (4,)}}, "training.seed cannot be in [settings]: seeds show how much"),
        (
            {"variants": {"one": {"training.threads": 1}}},
            'training.threads cannot be in [variants."one"]: it changes only',
        ),
    ],
)
def test_what_must_be_the_same_for_all_is_not_tried(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_cells(plan(**fields))
    assert message in caught.value.message
