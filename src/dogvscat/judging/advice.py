"""What to try next, derived from the settings of the training at hand.

For each finding there are kinds of remedies, such as more dropout. Of the settings of a remedy, the first that can
still be changed is named. A setting is not named if it has no effect in this configuration, if it is as far as it
should go, or if another finding about the same training asks for the opposite.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.judging.predictions import History
from dogvscat.photos.splits import validation_count
from dogvscat.settings import toml_value, with_settings


@dataclass(frozen=True)
class TrainingSetup:
    """What a training was made with, as far as advice depends on it."""

    config: Config
    num_train: int
    """Training photos."""
    photo_side: int = 512
    """Shorter side of a typical training photo, in pixels; larger images would show nothing more."""
    num_usable: int = 0
    """Photos of all splits, and those that `data.train_subset` left out."""
    num_validation: int = 0
    """Validation photos."""
    is_synthetic: bool = False
    """Whether the images were drawn by code."""


MOST_CHANGES = 4
"""Changes named for a finding; more would not be tried."""
ENOUGH_VALIDATION = 1_000
"""With this many validation photos, more of them hardly change what can be told apart."""
MOST_EPOCHS = 10_000
"""Largest value of training.epochs."""
USUAL_PATIENCE = 8
"""Suggested where early stopping is off."""

Rule = Callable[[Any, TrainingSetup], Any]
"""From the value of a setting to the value to try; None if there is none."""


def _scaled(factor: float, limit: float, off: float = 0.0, start: float | None = None) -> Rule:
    """Multiply by a factor, up to a limit; where the setting is switched off, `start` is the value to try."""

    def rule(value: float, setup: TrainingSetup) -> float | None:
        if value == off:
            return start
        scaled = type(value)(f"{value * factor:.2g}") if isinstance(value, float) else round(value * factor)
        limited = min(scaled, limit) if factor > 1 else max(scaled, limit)
        return limited if (limited > value) == (factor > 1) and limited != value else None

    return rule


def _switched(to: float | bool) -> Rule:
    return lambda value, setup: to


def _resized(factor: float) -> Rule:
    """Every layer wider or narrower, in multiples of 8 filters, from 16 to 512."""

    def resized(count: int) -> int:
        rounded = 8 * round(factor * count / 8)
        return max(count, min(512, rounded)) if factor > 1 else min(count, max(16, rounded))

    return lambda filters, setup: tuple(map(resized, filters))


def _decayed(value: float, setup: TrainingSetup) -> Any:
    # Decay acts through the learning rate. A product of 5e-5 is usual, from SGD at 0.1 to AdamW at 0.001.
    start = float(f"{min(0.5, 5e-5 / setup.config.training.learning_rate):.1g}")
    return _scaled(2.0, 1.0, start=start)(value, setup)


def _larger_image(value: int, setup: TrainingSetup) -> int:
    return min(round(value * 1.5 / 16) * 16, max(value, setup.photo_side // 16 * 16), 512)


def _larger_batch(value: int, setup: TrainingSetup) -> int | None:
    return 2 * value if 2 * value <= setup.num_train else None  # else it would hold all photos, as it may do now


def _larger_validation_share(value: float, setup: TrainingSetup) -> float | None:
    share = min(0.3, float(f"{2 * value:.1g}"))
    now, then = (
        validation_count(setup.num_usable, setup.config.data.model_copy(update={"validation_share": candidate}))
        for candidate in (value, share)
    )
    # Folders that declare their splits have another number of validation photos than would be drawn. Else
    # data.train_count may decide how many there are.
    is_drawn = abs(now - setup.num_validation) <= max(2, 0.02 * now)
    return share if is_drawn and now < ENOUGH_VALIDATION and then > now else None


Remedy = tuple[str, tuple[tuple[str, Rule], ...]]
"""What helps, in words, and the settings that do it: the first that can be changed is named."""

MORE_DROPOUT: Remedy = ("more dropout", (("network.dropout", _scaled(1.3, 0.7, start=0.2)),))
STRONGER_AUGMENTATION: Remedy = (
    "stronger augmentation",
    (
        ("augmentation.enabled", _switched(True)),
        ("augmentation.smallest_crop", _scaled(0.7, 0.3, off=1.0)),  # where crops are used, they are the strongest
        ("augmentation.shift", _scaled(1.5, 0.25, start=0.05)),
        ("augmentation.flip", _switched(True)),
    ),
)
HIDDEN_PARTS: Remedy = (
    "covered parts of the images",
    (
        ("augmentation.cutout", _scaled(1.5, 0.4, start=0.2)),
        ("augmentation.cutmix", _scaled(1.5, 0.5, start=0.25)),
    ),
)
MORE_DECAY: Remedy = ("more weight decay", (("training.weight_decay", _decayed),))
SMALLER_NETWORK: Remedy = (
    "a smaller network",
    (("network.dense_units", _scaled(0.5, 16)), ("network.filters", _resized(0.7))),
)
LESS_DROPOUT: Remedy = ("less dropout", (("network.dropout", _scaled(0.5, 0.05)),))
WEAKER_AUGMENTATION: Remedy = (
    "weaker augmentation",
    (
        ("augmentation.cutmix", _switched(0)),
        ("augmentation.rotation", _switched(0)),
        ("augmentation.cutout", _switched(0)),
        ("augmentation.smallest_crop", _switched(1)),
        ("augmentation.shift", _scaled(0.5, 0.01)),
    ),
)
LESS_DECAY: Remedy = (
    "less of a penalty on weights",
    (("training.l2", _scaled(0.3, 1e-6)), ("training.weight_decay", _scaled(0.3, 1e-6))),
)
LARGER_NETWORK: Remedy = ("a larger network", (("network.filters", _resized(1.5)),))
LARGER_IMAGES: Remedy = ("larger images", (("data.image_size", _larger_image),))
SMALLER_STEPS: Remedy = ("smaller steps", (("training.learning_rate", _scaled(0.3, 1e-7)),))
MUCH_SMALLER_STEPS: Remedy = ("a learning rate ten times smaller", (("training.learning_rate", _scaled(0.1, 1e-7)),))
LARGER_BATCHES: Remedy = ("larger batches", (("training.batch_size", _larger_batch),))
AVERAGED_WEIGHTS: Remedy = ("averaged weights", (("training.ema_momentum", lambda value, setup: value or 0.998),))
MORE_VALIDATION: Remedy = ("more validation images", (("data.validation_share", _larger_validation_share),))
ALL_PHOTOS: Remedy = ("all of the training photos", (("data.train_subset", _switched(0)),))

REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "diverged": (MUCH_SMALLER_STEPS,),
    "learned_nothing": (SMALLER_STEPS, ALL_PHOTOS),
    "over_fitting": (MORE_DROPOUT, STRONGER_AUGMENTATION, HIDDEN_PARTS, MORE_DECAY, SMALLER_NETWORK, ALL_PHOTOS),
    "under_fitting": (LESS_DROPOUT, WEAKER_AUGMENTATION, LESS_DECAY, LARGER_IMAGES, LARGER_NETWORK),
    "noisy_validation": (SMALLER_STEPS, LARGER_BATCHES, AVERAGED_WEIGHTS, MORE_VALIDATION),
    "few_images": (MORE_VALIDATION,),
    "memorised_late": (STRONGER_AUGMENTATION, MORE_DROPOUT),
    "small_set": (ALL_PHOTOS,),
    "generalises": (LARGER_NETWORK, LARGER_IMAGES),
}
"""What helps against each kind of finding, the best first."""

OPPOSED: dict[str, tuple[Remedy, ...]] = {
    # Weak on the photos it has seen and weaker on others: a smaller network would not help, nor would a freer one.
    "over_fitting": (LESS_DROPOUT, WEAKER_AUGMENTATION, LESS_DECAY, LARGER_NETWORK),
    "under_fitting": (SMALLER_NETWORK,),
    "memorised_late": (LESS_DROPOUT, WEAKER_AUGMENTATION),
}
"""Remedies that are not offered, for any finding, where there is this one."""


def advise(kinds: Sequence[str], setup: TrainingSetup, history: History) -> dict[str, str]:
    """What to do about each finding, with settings between backticks; an empty text if nothing needs doing.

    Args:
        kinds: Of all findings about a training, the most important first.
        setup: What it was made with.
        history: How it went.
    """
    changes = _suggest_changes(kinds, setup)
    longer, shorter = longer_settings(setup, history), _shorter_settings(setup, history)
    if longer and not {"over_fitting", "memorised_late"} & set(kinds):  # it would only learn more by heart
        for kind in {"learned_nothing", "under_fitting"} & set(kinds):
            changes[kind].insert(0, f"more {'patience' if history.stopped_early else 'epochs'} (`{longer}`)")
    if shorter and "memorised_late" in kinds:
        changes["memorised_late"].insert(0, f"an earlier end (`{shorter}`)")
    for kind in {"learned_nothing", "over_fitting", "few_images", "small_set"} & set(kinds):
        changes[kind].append("more photos")
    advice = {kind: _sentence("", changes[kind]) for kind in kinds}
    if "learned_nothing" in kinds:
        check = "First check that the photos of each folder show its class; `dogvscat audit` lists odd ones. Then try "
        advice["learned_nothing"] = _sentence(check, changes["learned_nothing"])
    if "epoch_limit" in kinds and longer:
        advice["epoch_limit"] = f"Continue this run: `dogvscat train --resume`, with `{longer}`."
    if "memorised_late" in kinds:
        advice["memorised_late"] = " ".join(["More epochs will not help here.", advice["memorised_late"]]).strip()
    return advice


def _suggest_changes(kinds: Sequence[str], setup: TrainingSetup) -> dict[str, list[str]]:
    """By kind of finding at most four changes, such as ``more dropout (`--set network.dropout=0.6`)``."""
    ruled_out = [remedy for kind in kinds for remedy in OPPOSED.get(kind, ())]
    suggestions = {}
    for kind in kinds:
        remedies = [remedy for remedy in REMEDIES.get(kind, ()) if remedy not in ruled_out]
        settings = [(words, _first_possible(rules, setup)) for words, rules in remedies]
        changes = [f"{words} (`--set {shlex.quote(setting)}`)" for words, setting in settings if setting]
        suggestions[kind] = changes[:MOST_CHANGES]
        ruled_out += remedies  # what helps against several findings is named once
    return suggestions


def longer_settings(setup: TrainingSetup, history: History) -> str | None:
    """The options with which a training lasts longer, as a command takes them; None if it cannot.

    What ended it decides: the patience, the number of epochs, or both.
    """
    training, settings = setup.config.training, []
    if history.stopped_early:
        settings.append(f"training.early_stopping_patience={2 * training.early_stopping_patience}")
    if not history.stopped_early or history.last_epoch >= training.epochs:
        settings.append(f"training.epochs={2 * training.epochs}")
    return " ".join(f"--set {setting}" for setting in settings) if 2 * training.epochs <= MOST_EPOCHS else None


def _shorter_settings(setup: TrainingSetup, history: History) -> str | None:
    """The option that ends a training when its validation loss is lowest; None if the training does so already."""
    training = setup.config.training
    if training.early_stopping_patience:
        return None
    if training.schedule != "one_cycle":
        return f"--set training.early_stopping_patience={USUAL_PATIENCE}"
    # A cycle that is cut off would end with large steps, so the whole cycle is made shorter, but no shorter than the
    # growth of its images.
    best_epoch = int(np.argmin(history.columns["val_loss"])) + 1
    growth_epochs = sum(epochs for epochs, _ in training.progressive_resizing)
    return f"--set training.epochs={best_epoch}" if growth_epochs < best_epoch < training.epochs else None


def _first_possible(rules: tuple[tuple[str, Rule], ...], setup: TrainingSetup) -> str | None:
    """The first setting that can be changed as its rule says, as `key=value`."""
    config, inactive = setup.config, setup.config.inactive_settings
    for key, rule in rules:
        value = rule(config.value(key), setup)
        if value is None or value == config.value(key) or key in inactive:
            continue
        setting = f"{key}={toml_value(value)}".replace(", ", ",")  # no blanks on a command line
        try:
            with_settings(config, [setting])
        except ConfigError:  # another setting forbids it, such as a network too deep for its images
            continue
        return setting
    return None


def _sentence(start: str, changes: Sequence[str]) -> str:
    """`Start one, two or three.`; empty if there are no changes."""
    text = start + " or ".join(filter(None, [", ".join(changes[:-1]), *changes[-1:]]))
    return f"{text[:1].upper()}{text[1:]}." if changes else ""
