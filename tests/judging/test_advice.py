"""Advice fits the settings of the training: it names no value that is set already, and no setting without effect."""

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dogvscat.config import LAYER_CHANGES, Config
from dogvscat.errors import ConfigError
from dogvscat.judging.advice import OPPOSED, REMEDIES, RULES, TrainingSetup, advise, next_commands
from dogvscat.judging.diagnosis import Finding, diagnose
from dogvscat.judging.intervals import MetricValue, wilson
from dogvscat.judging.predictions import History
from dogvscat.learning.inactive_settings import without_inactive
from dogvscat.settings.keys import differences
from dogvscat.settings.resolve import build_config, resolve_config, with_settings

RECIPES = ("classic", "fast", "best")
CHANGES: dict[str, tuple[object, ...]] = {
    "augmentation.enabled": (False,),
    "augmentation.flip": (False,),
    "augmentation.shift": (0.0, 0.25, 0.5),
    "augmentation.smallest_crop": (1.0, 0.3, 0.05),
    "augmentation.rotation": (0.0,),
    "augmentation.cutout": (0.0, 0.4, 0.75),
    "augmentation.cutmix": (0.0, 0.5, 1.0),
    "network.dropout": (0.0, 0.05, 0.7, 0.95),
    "network.width": (0.25, 0.75, 2.0, 8.0),
    "network.changes": (("global mean last",), ("flatten last",)),
    "data.image_size": (64, 180, 512),
    "data.train_subset": (500,),
    "data.train_count": (0,),
    "data.validation_share": (0.3, 0.5),
    "training.progressive_resizing": ((),),
    "training.epochs": (1, 9, 10_000),
    "training.early_stopping_patience": (0, 5),
    "training.schedule": ("constant", "one_cycle", "reduce_on_plateau"),
    "training.batch_size": (1, 8192),
    "training.learning_rate": (1e-7, 0.1, 10.0),
    "training.optimizer": ("sgd",),
    "training.weight_decay": (0.0, 0.001, 1.0),
    "training.l2": (0.01,),
    "training.ema_momentum": (0.0, 0.9),
}
"""Settings at their ends, which a suggestion must not pass."""

NOTHING_BUT_FLIPS: dict[str, object] = {
    "augmentation.flip": False,
    "augmentation.shift": 0.5,
    "augmentation.smallest_crop": 1.0,
}
"""What is left for a stronger augmentation here."""


def changed(recipe: str, settings: Mapping[str, object]) -> Config | None:
    """A recipe with other values; None if they exclude each other."""
    document = resolve_config(recipe).model_dump()
    for key, value in settings.items():
        section, _, name = key.partition(".")
        document[section][name] = value
    try:
        return build_config(document)
    except ConfigError:
        return None


def configs() -> Iterator[Config]:
    """Each recipe as it is, with every single change, and with many changes at once."""
    for recipe in RECIPES:
        singles: list[dict[str, object]] = [{key: value} for key, values in CHANGES.items() for value in values]
        rng = np.random.default_rng(RECIPES.index(recipe))
        several = [
            {key: values[rng.integers(len(values))] for key, values in CHANGES.items() if rng.random() < 0.3}
            for _ in range(8)
        ]
        for settings in [{}, NOTHING_BUT_FLIPS, *singles, *several]:
            if config := changed(recipe, settings):
                yield config


def curves(val_loss: Sequence[float] | np.ndarray, stopped_early: bool, kept_epoch: int | None = None) -> History:
    rng, n = np.random.default_rng(0), len(val_loss)
    columns = {
        "loss": np.linspace(0.69, 0.1, n),
        "accuracy": np.linspace(0.6, 0.9, n),
        "val_loss": np.array(val_loss),
        "val_accuracy": np.linspace(0.6, 0.9, n) + 0.05 * rng.standard_normal(n),  # noisy
        "learning_rate": np.full(n, 0.001),
        "seconds": np.ones(n),
    }
    rows = [{"epoch": i + 1, **{name: float(column[i]) for name, column in columns.items()}} for i in range(n)]
    return History(rows, kept_epoch or int(np.argmin(val_loss)) + 1, stopped_early, 2000, 250)


@cache  # scipy takes most of the time of these tests
def accuracy(right: int, n: int) -> dict[str, MetricValue]:
    return {"accuracy": wilson(right, n), "majority_baseline": wilson(n // 2, n)}


def outcomes(config: Config) -> Iterator[list[Finding]]:
    """The findings about trainings with one configuration that went in every way that a rule knows."""
    stops = config.training.early_stopping_patience > 0
    for val_loss in (np.linspace(0.7, 0.3, 10), [0.6, 0.4, 0.3, 0.32, 0.34, 0.36, 0.38, 0.4, 0.42, 0.44]):
        history = curves(val_loss, stopped_early=stops and val_loss[-1] > 0.35, kept_epoch=None if stops else 10)
        # Nothing, by heart, weak and weaker, weak, over-fitting, good.
        rights = ((1000, 125), (1980, 125), (1560, 162), (1500, 185), (1980, 200), (1980, 245))
        for right, right_of_250 in rights if val_loss[-1] < 0.35 else rights[2:]:
            setup = TrainingSetup(config, 2000, 180, 2250, 250, is_synthetic=True)
            yield diagnose(setup, history, accuracy(right, 2000), accuracy(right_of_250, 250))
    endless = [*np.linspace(0.7, 0.3, 9), float("inf")]
    yield diagnose(TrainingSetup(config, 2000), curves(endless, False), accuracy(1000, 2000), accuracy(100, 250))


def options(advice: str) -> list[list[str]]:
    """The settings of each `--set ...` in a text; those of one command are together."""
    commands = [shlex.split(code) for code in re.findall(r"`([^`]*--set [^`]*)`", advice)]
    return [[word for word in command if word != "--set" and "=" in word] for command in commands]


@pytest.fixture(scope="module")
def everything() -> list[tuple[Config, list[Finding]]]:
    return [(config, findings) for config in configs() for findings in outcomes(config)]


def test_every_suggestion_can_be_set_and_changes_what_is_trained(everything) -> None:
    suggestions = {
        (id(config), tuple(settings)): config
        for config, findings in everything
        for finding in findings
        for settings in options(finding.try_next)
    }
    named = set()
    for (_, settings), config in suggestions.items():
        changed_config = with_settings(config, settings)
        keys = {setting.partition("=")[0] for setting in settings}
        changed_keys = {"network.layers" if key in LAYER_CHANGES else key for key in keys}
        assert changed_keys <= {key for key, *_ in differences(config, changed_config)}
        assert without_inactive(changed_config) != without_inactive(config), settings
        named |= keys
    # Nothing in the table of remedies is idle.
    assert {key for rules in RULES.values() for key in rules} <= named
    assert {remedy for remedies in REMEDIES.values() for remedy in remedies} == RULES.keys()


def test_a_setting_is_not_pushed_both_ways(everything) -> None:
    for _, findings in everything:
        settings = {setting for finding in findings for setting in itertools.chain(*options(finding.try_next))}
        keys = [setting.partition("=")[0] for setting in settings]
        assert len(keys) == len(set(keys)), settings  # no finding names another value for a setting


def test_the_ways_that_trainings_went_raise_every_finding(everything) -> None:
    kinds = {finding.kind for _, findings in everything for finding in findings}
    assert kinds >= REMEDIES.keys() - {"small_set"}
    assert OPPOSED.keys() <= kinds


def test_no_text_ends_in_the_middle(everything) -> None:
    for _, findings in everything:
        for finding in findings:
            assert re.fullmatch(r"|[A-Z].*[.]", finding.try_next)
            assert "  " not in finding.try_next
            assert ", ," not in finding.try_next


def over_fitting_advice(recipe: str, *settings: str) -> str:
    setup = TrainingSetup(resolve_config(recipe, None, settings), 2000, 180, 2250, 250, is_synthetic=True)
    history = curves(np.linspace(0.7, 0.3, 10), stopped_early=False)
    findings = diagnose(setup, history, accuracy(1990, 2000), accuracy(200, 250))
    return next(finding.try_next for finding in findings if finding.kind == "over_fitting")


def test_advice_starts_from_the_values_that_are_set() -> None:
    fast = over_fitting_advice("fast")
    assert "--set network.dropout=0.56" in fast  # 0.43 is set
    assert "--set network.dropout=0.2`" in over_fitting_advice("fast", "network.dropout=0.1")
    assert "--set augmentation.smallest_crop=0.55" in fast  # 0.78
    assert "--set augmentation.cutout=0.3" in fast  # 0.2
    assert "--set training.weight_decay=0.7" in fast  # 0.35
    classic = over_fitting_advice("classic")
    assert "--set augmentation.shift=0.15" in classic  # 0.1; classic does not crop
    assert "--set training.weight_decay=0.05" in classic  # off, with Adam at 0.001


def test_what_does_nothing_is_not_suggested() -> None:
    assert "cutout" not in over_fitting_advice("fast", "augmentation.cutout=0.4")
    assert "network.width=0.7" in over_fitting_advice("fast", "network.dropout=0.8")
    assert "width" not in over_fitting_advice("fast", "network.dropout=0.8", "network.width=0.4")
    off = over_fitting_advice("fast", "augmentation.enabled=false")
    assert re.findall(r"augmentation\.\w+=\w+", off) == ["augmentation.enabled=true"]
    assert "weight_decay=0.0005" in over_fitting_advice(
        "classic", "training.optimizer=sgd", "training.learning_rate=0.1"
    )


def test_larger_images_end_where_photos_have_no_more_pixels() -> None:
    history = curves(np.linspace(0.7, 0.3, 10), stopped_early=False)
    for recipe, side, expected in (("classic", 180, 96), ("fast", 180, 176), ("fast", 500, 192), ("best", 180, None)):
        setup = TrainingSetup(resolve_config(recipe), 2000, side)
        advice = advise(["generalizes"], setup, history)["generalizes"]
        sizes = [int(size) for size in re.findall(r"data\.image_size=(\d+)", advice)]
        assert sizes == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("settings", "num_usable", "num_validation", "suggested"),
    [
        ([], 2250, 250, True),  # train_count = 20000 is ignored in so small a set
        (["data.train_count=2000"], 2250, 250, False),  # here it decides
        ([], 2250, 700, False),  # the folders declare the splits
        (["data.validation_share=0.3"], 2250, 675, False),  # a large share already
        (["data.train_count=0"], 22_500, 2_500, False),  # enough validation photos
    ],
)
def test_a_larger_validation_share_is_suggested_where_it_decides(
    settings: list[str], num_usable: int, num_validation: int, suggested: bool
) -> None:
    config = resolve_config("fast", None, settings)
    setup = TrainingSetup(config, num_usable - num_validation, 180, num_usable, num_validation)
    advice = advise(["few_images"], setup, curves(np.linspace(0.7, 0.3, 10), stopped_early=False))["few_images"]
    assert ("data.validation_share=0.2" in advice) == suggested
    assert "ore photos" in advice


def test_all_photos_before_more_photos() -> None:
    assert "--set data.train_subset=0" not in over_fitting_advice("fast")
    advice = over_fitting_advice("fast", "data.train_subset=500")
    assert advice.endswith("or more photos.")


def test_a_shorter_training_only_where_the_last_weights_are_kept() -> None:
    memorizing = [0.6, 0.4, 0.3, 0.32, 0.34, 0.36, 0.38, 0.4, 0.42, 0.44]
    advice = {}
    for name, settings in {
        "cycle": ["training.schedule=one_cycle", "training.early_stopping_patience=0", "training.epochs=10"],
        "constant": ["training.schedule=constant", "training.early_stopping_patience=0", "training.epochs=10"],
        "stops": [],
    }.items():
        setup = TrainingSetup(resolve_config("classic", None, settings), 2000)
        history = curves(memorizing, stopped_early=name == "stops", kept_epoch=None if name == "stops" else 10)
        advice[name] = advise(["memorized_late"], setup, history)["memorized_late"]
    assert "--set training.epochs=3`" in advice["cycle"]
    assert "--set training.early_stopping_patience=8`" in advice["constant"]
    assert "an earlier end" not in advice["stops"]


def longer_command(recipe: str, *settings: str, kinds: Sequence[str] = (), stopped_early: bool = False) -> list[str]:
    setup = TrainingSetup(resolve_config(recipe, None, settings), 2000)
    history = curves(np.linspace(0.7, 0.3, 10), stopped_early)
    commands = next_commands(Path("runs/a b"), Path("runs/a b/config.toml"), kinds, setup, history)
    return [command for command, purpose in commands if "longer" in purpose]


def test_a_longer_training_continues_or_is_another_cycle() -> None:
    assert longer_command("classic") == ["dogvscat train --resume 'runs/a b' --set training.epochs=120"]
    patience = "--set training.early_stopping_patience=10"
    assert longer_command("classic", stopped_early=True) == [f"dogvscat train --resume 'runs/a b' {patience}"]
    config = "--config 'runs/a b/config.toml'"
    assert longer_command("fast") == [f"dogvscat train PHOTOS {config} --set training.epochs=40"]
    others = longer_command("best", "network.neither_output=true")
    assert others == [f"dogvscat train PHOTOS {config} --neither OTHERS --set training.epochs=120"]


def test_a_longer_training_is_not_offered_where_it_cannot_help() -> None:
    assert longer_command("classic", "training.epochs=10000") == []
    assert longer_command("classic", kinds=["memorized_late"]) == []
