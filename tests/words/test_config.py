"""Settings: where they come from, what is refused and how, and that they survive a round trip through TOML."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from dogvscat.cli import options
from dogvscat.config import REPLACED, Config, Section
from dogvscat.errors import ConfigError, ModelError
from dogvscat.exploring import plan_files
from dogvscat.learning.run import Run
from dogvscat.settings.keys import differences, setting_keys, setting_meanings
from dogvscat.settings.resolve import (
    build_config,
    load_recipe,
    parse_settings,
    recipe_names,
    resolve_config,
    with_settings,
)
from dogvscat.settings.toml import to_toml


def _toml(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_flag_beats_the_file_beats_the_recipe_beats_the_default(tmp_path: Path) -> None:
    recipe = _toml(
        tmp_path / "mine.toml", "[training]\nepochs = 2\nbatch_size = 2\nlearning_rate = 0.2\n[data]\nsplit_seed = 2"
    )
    file = _toml(tmp_path / "file.toml", "[training]\nbatch_size = 3\nlearning_rate = 0.3")
    config = resolve_config(str(recipe), file, ["training.learning_rate=0.4"])
    training = config.training
    assert (config.recipe, config.data.split_seed) == ("mine", 2)
    assert (training.seed, training.epochs, training.batch_size, training.learning_rate) == (0, 2, 3, 0.4)


def test_of_two_flags_the_last_counts() -> None:
    assert resolve_config("classic", None, ["training.seed=1", "training.seed=2"]).training.seed == 2


def test_every_command_has_the_same_default_recipe() -> None:
    assert options.DEFAULT_RECIPE == plan_files.DEFAULT_RECIPE == "fast"
    assert "fast" in recipe_names()


def test_classic_is_what_the_design_describes() -> None:
    config = resolve_config("classic")
    convolutions = [f"stage{n}: conv {count} valid, relu, max pool" for n, count in ((1, 32), (2, 64), (3, 128))]
    assert config.network.layers == (*convolutions, "flatten, dense 128, relu, dropout 0.5")
    assert config.data.train_count == 20_000
    assert config.augmentation.enabled
    assert config.training.early_stopping_patience > 0
    assert "classic" in recipe_names()


def test_settings_are_explained_in_toml_that_reads_back(tmp_path: Path) -> None:
    config = resolve_config("classic", None, ["network.dropout=0.3"])
    explained = to_toml(config, commented=True)
    assert resolve_config("classic", _toml(tmp_path / "explained.toml", explained)) == config
    for key in setting_keys():
        lines = explained.splitlines()
        name = key.partition(".")[2]
        place = next(n for n, line in enumerate(lines) if line.startswith((f"{name} = ", f"# {name} =")))
        assert lines[place - 1].startswith("# "), key


def test_pictures_grow_as_progressive_resizing_says() -> None:
    network = ["network.changes=global mean instead of flatten"]
    settings = ["data.image_size=96", "training.epochs=6", "training.progressive_resizing=[[2, 48], [1, 64]]"]
    config = resolve_config("classic", None, [*network, *settings])
    assert [config.image_size_at(epoch) for epoch in range(6)] == [48, 48, 64, 96, 96, 96]
    assert config.image_sizes == [48, 64, 96]
    with pytest.raises(ConfigError, match="needs a network that takes any size"):
        resolve_config("classic", None, settings)
    with pytest.raises(ConfigError, match=r"pairs of epochs .* received \[0, 48\]"):
        resolve_config("classic", None, [*network, "training.progressive_resizing=[[0, 48]]"])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_round_trips(tmp_path: Path, name: str) -> None:
    config = resolve_config(name)
    saved = _toml(tmp_path / "config.toml", to_toml(config))
    assert resolve_config("classic", saved) == config
    assert tomllib.loads(saved.read_text(encoding="utf-8")) == config.model_dump(mode="json")


@pytest.mark.parametrize(
    "setting",
    [
        "augmentation.flip=false",
        "network.dropout=0.25",
        "network.changes=norm after each conv",
        "network.layers=conv 7, global mean",
        'network.layers=["2 x (conv 7, relu)", "head: 2 x max pool", "global mean"]',
        "training.learning_rate=1e-7",
        "training.learning_rate=0.1234567890123456789",
        "training.l2=1",
        "training.checkpoint_seconds=inf",
        "training.checkpoint_seconds=1e300",
        "training.seed=2147483647",
        "training.optimizer=sgd",
    ],
)
def test_every_type_of_value_round_trips(setting: str) -> None:
    config = with_settings(Config(), [setting])
    assert config != Config()
    assert build_config(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "tab\tand\nline", "chat 😺", "", "[data]", "a = 1 # no"])
def test_every_name_round_trips(name: str) -> None:
    config = Config(recipe=name)
    assert build_config(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("training.learning_rat=1", "no setting 'training.learning_rat'", "'training.learning_rate'"),
        ("training.image_size=64", "no setting 'training.image_size'", "'data.image_size'"),
        ("train.epochs=3", "no setting 'train'", "'training'"),
        ("training.epochs=0", "training.epochs: expected at least 1, received 0$", None),
        ("training.epochs=many", 'training.epochs: expected a whole number, received "many"$', None),
        ("training.epochs=3.5", "training.epochs: expected a whole number, received 3.5$", None),
        ("training.learning_rate=nan", "training.learning_rate: .*, received nan", None),
        (
            "training.optimizer=rmsprop",
            "training.optimizer: expected 'adam', 'sgd' or 'muon', received \"rmsprop\"$",
            None,
        ),
        ("augmentation.flip=perhaps", 'augmentation.flip: expected true or false, received "perhaps"$', None),
        ("network.layers=8", r"network.layers: expected a list in brackets, such as \[32, 64\], received 8$", None),
        ("network.layers=[]", r"network.layers: expected at least 1 entry, received \[\]$", None),
        (f"network.layers={['relu'] * 51}", "network.layers: expected at most 50 entries", None),
        ('network.layers=["relu", 3]', "network.layers.1: expected a word in quotes, received 3$", None),
        ('network.layers=["relu", "conv"]', 'entry 2 of network.layers: "conv": expected a number of filters', None),
        ("network.changes=less", 'the change "less" of the network: expected a change such as', None),
        ("network.dropout=1", "network.dropout: expected less than 1.0, received 1$", None),
        ("network.initializer=zero", "network.initializer: expected 'glorot' or 'he', received", None),
        ("training.seed=2147483648", "training.seed: expected less than 2147483648", None),
        ("data.image_size=31", "data.image_size: expected at least 32, received 31$", None),
    ],
)
def test_what_is_wrong_is_named(setting: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config("classic", None, [setting])
    assert "Input should" not in caught.value.message
    expected = f"Did you mean {hint}? `dogvscat train --show-settings` lists every setting." if hint else None
    assert caught.value.hint == expected


@pytest.mark.parametrize("key", REPLACED)
def test_settings_of_earlier_versions_say_what_to_write_now(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no setting '{key}' any more") as caught:
        resolve_config("classic", None, [f"{key}=1"])
    hint = caught.value.hint or ""
    assert hint.startswith("Write ")
    for setting in re.findall(r'network\.changes="(.+?)"', hint):  # what is suggested can be written
        resolve_config("fast" if "residual" in setting else "classic", None, [f"network.changes={setting}"])
    section, _, name = key.partition(".")
    _toml(tmp_path / "config.toml", f"[{section}]\n{name} = 1\n")
    with pytest.raises(ModelError, match=r"config\.toml is of an earlier version: there is no setting"):
        Run(tmp_path).load_config()


def test_changes_of_the_network_add_up_and_leave_only_layers(tmp_path: Path) -> None:
    recipe = _toml(tmp_path / "mine.toml", '[network]\nchanges = "without stage3"\ndropout = 0.25')
    file = _toml(tmp_path / "file.toml", '[network]\nchanges = ["norm after stage1.conv1", "silu instead of relu1"]')
    settings = ["network.changes=dense 16 instead of dense", 'network.changes=["width 0.5"]', "network.dropout=0"]
    config = resolve_config(str(recipe), file, settings)
    assert config.network.layers == (
        "stage1: conv 16 valid, norm, relu, max pool",
        "stage2: conv 32 valid, relu, max pool",
        "flatten, dense 8, silu",
    )
    assert not {"changes", "width", "dropout"} & config.model_dump()["network"].keys()
    assert with_settings(config, ["network.changes=without stage2"]).network.layers[1] == "flatten, dense 8, silu"


def test_of_layers_only_the_entries_that_differ_are_listed() -> None:
    base = resolve_config("classic")
    narrow = with_settings(base, ["network.changes=dense 16 instead of dense"])
    before, after = "flatten, dense 128, relu, dropout 0.5", "flatten, dense 16, relu, dropout 0.5"
    assert differences(base, narrow) == [("network.layers", (before,), (after,))]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.validation_share=0.5", "data.test_share=0.5"], "together must stay below 1, received 0.5 and 0.5"),
        (
            ["data.image_size=32", "network.changes=conv 8 valid, relu, max pool after stage3"],
            r"after layer 9 \(stage3.pool1\) the picture is 2 x 2: layer 10 .* needs 3 x 3; use larger images than 32",
        ),
        (["data.image_size=32", "network.changes=7x7 instead of 3x3"], "the picture is 3 x 3: .* needs 7 x 7"),
    ],
)
def test_settings_that_are_impossible_together(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config("classic", None, settings)


@pytest.mark.parametrize("setting", ["training.epochs", "epochs=3", "=3", "training.=3", ".epochs=3", ""])
def test_a_setting_is_section_key_and_value(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"expected --set section\.key=value"):
        parse_settings([setting])


def test_values_are_toml_or_plain_words() -> None:
    settings = ["a.number=1", "a.list=[1, 2]", "a.flag=true", "a.word=adam", 'a.quoted="x=y"', " a.spaced = 2 "]
    expected = {"number": 1, "list": [1, 2], "flag": True, "word": "adam", "quoted": "x=y", "spaced": 2}
    assert parse_settings(settings) == {"a": expected}


def test_unknown_recipes_and_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe 'clasic'") as caught:
        load_recipe("clasic")
    assert "Did you mean 'classic'?" in str(caught.value.hint)
    with pytest.raises(ConfigError, match=r"no file .*gone\.toml"):
        load_recipe(str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match=r"bad\.toml cannot be read as TOML"):
        resolve_config("classic", _toml(tmp_path / "bad.toml", "training = ["))
    (tmp_path / "latin.toml").write_bytes(b'recipe = "\xe9"')
    with pytest.raises(ConfigError, match=r"latin\.toml cannot be read as TOML"):
        resolve_config("classic", tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match=r"cannot be read as TOML: .*directory"):
        resolve_config("classic", tmp_path)
    with pytest.raises(ConfigError, match=r"data: .* received 3"):
        resolve_config("classic", _toml(tmp_path / "flat.toml", "data = 3"))


def test_settings_cannot_be_changed_in_place() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.training.epochs = 3  # type: ignore[misc]
    assert with_settings(config, ["training.epochs=3"]).training.epochs == 3
    assert config == Config()


def test_every_setting_says_what_it_means() -> None:
    described = {}
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            assert section.__doc__
            described.update({f"{name}.{key}": meaning for key, meaning in setting_meanings(section).items()})
    assert list(described) == setting_keys()
    assert [key for key, meaning in described.items() if len(meaning) < 15] == []
    assert described["data.split_seed"].startswith("Seed of the split only, so that runs with different training")
