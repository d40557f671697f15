"""What to try next, derived from the settings of the training at hand.

For each finding there are remedies, such as more dropout. A remedy can be one of several settings: the first that can
still be changed is named. A setting is not named if it has no effect in this configuration, if it is as far as it
should go, or if another finding about the same training asks for the opposite.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.config import NEEDS, Config
from dogvscat.judging.predictions import History
from dogvscat.network.layers import Convolution
from dogvscat.photos.splits import VALIDATION, held_out_counts
from dogvscat.settings.toml import toml_value
from dogvscat.text import shell_word

MOST_CHANGES = 4
"""Changes named for a finding; more would not be tried."""
ENOUGH_VALIDATION = 1_000
"""With this many validation photos, more of them would hardly help to compare two settings."""
MOST_EPOCHS = 10_000
"""Largest value of training.epochs."""
USUAL_PATIENCE = 8
"""Suggested where early stopping is off."""


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


def advise(kinds: Sequence[str], setup: TrainingSetup, history: History) -> dict[str, str]:
    """What to do about each finding, with settings between backticks; an empty text if nothing needs doing.

    Args:
        kinds: Of all findings about a training, the most important first.
        setup: What it was made with.
        history: How it went.
    """
    changes = _suggest_changes(kinds, setup)
    longer, shorter = _longer(setup, history), _shorter(setup, history)
    # A longer training of a network that learns by heart would only let it learn more by heart.
    if longer and not {"over_fitting", "memorized_late"} & set(kinds):
        for kind in {"learned_nothing", "under_fitting"} & set(kinds):
            changes[kind].insert(0, f"more {'patience' if history.stopped_early else 'epochs'} (`{longer}`)")
    if shorter and "memorized_late" in kinds:
        changes["memorized_late"].insert(0, f"an earlier end of training (`{shorter}`)")
    for kind in {"learned_nothing", "over_fitting", "few_images", "small_set"} & set(kinds):
        changes[kind].append("more photos")
    advice = {kind: _sentence("", changes[kind]) for kind in kinds}
    if "learned_nothing" in kinds:
        check = "First check that the photos of each folder show its class; `dogvscat audit` lists odd ones. Then try "
        advice["learned_nothing"] = _sentence(check, changes["learned_nothing"])
    if "epoch_limit" in kinds and longer:
        advice["epoch_limit"] = f"Continue this run: `dogvscat train --resume`, with `{longer}`."
    if "memorized_late" in kinds:
        advice["memorized_late"] = " ".join(["More epochs will not help here.", advice["memorized_late"]]).strip()
    return advice


def next_commands(
    run_dir: Path, config_file: Path, kinds: Sequence[str], setup: TrainingSetup, history: History
) -> list[tuple[str, str]]:
    """Commands to continue with, each with its purpose.

    Args:
        run_dir: The run folder.
        config_file: The settings of the run.
        kinds: Of all findings about the training.
        setup: What it was made with.
        history: How it went.
    """
    folder, longer = shell_word(run_dir), _longer(setup, history)
    again = f"dogvscat train PHOTOS --config {shell_word(config_file)}"
    again += " --neither OTHERS" if setup.config.network.neither_output else ""
    commands = [
        (f"dogvscat predict PHOTO --model {folder}", "what this network answers for a photo of yours"),
        (f"dogvscat evaluate {folder} PHOTOS --out FOLDER", "evaluate the network on photos that it has not seen"),
        (f"{again} --set SECTION.KEY=VALUE", "train again with these settings and a change from above"),
    ]
    if not longer or "memorized_late" in kinds:
        return commands
    if setup.config.training.schedule == "one_cycle":  # its learning rate has come down to zero
        return [*commands, (f"{again} {longer}", "train another network for longer, in one cycle")]
    return [*commands, (f"dogvscat train --resume {folder} {longer}", "train the network longer")]


def _longer(setup: TrainingSetup, history: History) -> str | None:
    """The options of a command with which the training lasts longer; None if it cannot.

    They raise what ended the training: the patience, the number of epochs, or both.
    """
    training, settings = setup.config.training, []
    if history.stopped_early:
        settings.append(f"training.early_stopping_patience={2 * training.early_stopping_patience}")
    if not history.stopped_early or history.last_epoch >= training.epochs:
        settings.append(f"training.epochs={2 * training.epochs}")
    return " ".join(f"--set {setting}" for setting in settings) if 2 * training.epochs <= MOST_EPOCHS else None


def _shorter(setup: TrainingSetup, history: History) -> str | None:
    """The option that ends a training when its validation loss is lowest; None if the training does so already."""
    training = setup.config.training
    if training.early_stopping_patience:
        return None
    if training.schedule != "one_cycle":
        return f"--set training.early_stopping_patience={USUAL_PATIENCE}"
    # A cycle that is cut off would end with large steps, so the whole cycle is made shorter, but no shorter than its
    # progressive resizing.
    best_epoch = int(np.argmin(history.columns["val_loss"])) + 1
    growth_epochs = sum(epochs for epochs, _ in training.progressive_resizing)
    return f"--set training.epochs={best_epoch}" if growth_epochs < best_epoch < training.epochs else None


def _suggest_changes(kinds: Sequence[str], setup: TrainingSetup) -> dict[str, list[str]]:
    """By kind of finding at most four changes, such as ``more dropout (`--set network.dropout=0.6`)``."""
    sections = setup.config.model_dump(exclude={"recipe"}).items()
    values = {f"{section}.{name}": value for section, settings in sections for name, value in settings.items()}
    values |= {"network.dropout": setup.config.network.dropout_rate, "network.width": 1.0}  # what changes the layers
    ruled_out = {remedy for kind in kinds for remedy in OPPOSED.get(kind, ())}
    suggestions: dict[str, list[str]] = {}
    for kind in kinds:
        suggestions[kind] = []
        for remedy in REMEDIES.get(kind, ()):
            setting = None if remedy in ruled_out else _first_possible(RULES[remedy], values, setup)
            if setting and len(suggestions[kind]) < MOST_CHANGES:
                suggestions[kind].append(f"{remedy} (`--set {shlex.quote(setting)}`)")
        ruled_out.update(REMEDIES.get(kind, ()))  # what helps against several findings is named once
    return suggestions


def _first_possible(rules: Mapping[str, "Rule"], values: dict[str, Any], setup: TrainingSetup) -> str | None:
    """The first setting that can be changed as its rule says, as `key=value`."""
    for key, rule in rules.items():
        needed_key, needed_value = NEEDS.get(key, (key, values[key]))
        value = rule(values[key], setup) if values[needed_key] == needed_value else None
        if value is not None and value != values[key]:
            return f"{key}={toml_value(value)}".replace(", ", ",")  # no blanks on a command line
    return None


def _scaled(
    value: float, setup: TrainingSetup, factor: float, limit: float, off: float = 0, start: float | None = None
) -> float | None:
    """The value times a factor, up to a limit; where the setting is off, the value to start with, if any."""
    if value == off:
        return start
    scaled = float(f"{value * factor:.2g}") if isinstance(value, float) else round(value * factor)
    limited = min(scaled, limit) if factor > 1 else max(scaled, limit)
    return limited if (limited > value) == (factor > 1) else None


def _resized(value: float, setup: TrainingSetup, factor: float) -> float | None:
    """The factor for every layer, unless a convolution would have fewer than 16 filters then, or more than 512."""
    layers = [layer for stage in setup.config.network.stages for layer in stage.layers]
    filters = [layer.filters * factor for layer in layers if isinstance(layer, Convolution)]
    return factor if filters and min(filters) >= 16 and max(filters) <= 512 else None


def _more_dropout(value: float, setup: TrainingSetup) -> float | None:
    scaled = _scaled(value, setup, factor=1.3, limit=0.7, start=0.2)
    return scaled and max(scaled, 0.2)  # less would hardly be noticed


def _decayed(value: float, setup: TrainingSetup) -> float | None:
    # Decay acts through the learning rate. A product of 5e-5 is usual, from SGD at 0.1 to AdamW at 0.001.
    start = float(f"{min(0.5, 5e-5 / setup.config.training.learning_rate):.1g}")
    return _scaled(value, setup, 2.0, 1.0, start=start)


def _larger_image(value: int, setup: TrainingSetup) -> int:
    return min(round(value * 1.5 / 16) * 16, max(value, setup.photo_side // 16 * 16), 512)


def _larger_batch(value: int, setup: TrainingSetup) -> int | None:
    return 2 * value if 2 * value <= min(setup.num_train, 8192) else None  # else it would hold all photos


def _larger_validation_share(value: float, setup: TrainingSetup) -> float | None:
    data, share = setup.config.data, min(0.3, float(f"{2 * value:.1g}"))
    now, then = (
        held_out_counts(setup.num_usable, data.model_copy(update={"validation_share": candidate}))[VALIDATION]
        for candidate in (value, share)
    )
    # The share may not decide the number of validation photos: folders can declare their splits, and data.train_count
    # can take its place.
    is_drawn = abs(now - setup.num_validation) <= max(2, 0.02 * now)
    return share if is_drawn and now < ENOUGH_VALIDATION and then > now and share + data.test_share < 0.9 else None


Rule = Callable[[Any, TrainingSetup], Any]
"""From the value of a setting to the value to try; None if there is none."""

RULES: dict[str, dict[str, Rule]] = {
    "more dropout": {"network.dropout": _more_dropout},
    "stronger augmentation": {
        "augmentation.enabled": lambda value, setup: True,
        "augmentation.smallest_crop": partial(_scaled, factor=0.7, limit=0.3, off=1),  # the strongest where it is used
        "augmentation.shift": partial(_scaled, factor=1.5, limit=0.25, start=0.05),
        "augmentation.flip": lambda value, setup: True,
    },
    "hiding parts of the images": {
        "augmentation.cutout": partial(_scaled, factor=1.5, limit=0.4, start=0.2),
        "augmentation.cutmix": partial(_scaled, factor=1.5, limit=0.5, start=0.25),
    },
    "more weight decay": {"training.weight_decay": _decayed},
    "a smaller network": {"network.width": partial(_resized, factor=0.7)},
    "less dropout": {"network.dropout": partial(_scaled, factor=0.5, limit=0.05)},
    "weaker augmentation": {
        "augmentation.cutmix": lambda value, setup: 0,
        "augmentation.rotation": lambda value, setup: 0,
        "augmentation.cutout": lambda value, setup: 0,
        "augmentation.smallest_crop": lambda value, setup: 1,
        "augmentation.shift": partial(_scaled, factor=0.5, limit=0.01),
    },
    "a smaller penalty on weights": {
        "training.l2": partial(_scaled, factor=0.3, limit=1e-6),
        "training.weight_decay": partial(_scaled, factor=0.3, limit=1e-6),
    },
    "a larger network": {"network.width": partial(_resized, factor=1.5)},
    "larger images": {"data.image_size": _larger_image},
    "smaller steps": {"training.learning_rate": partial(_scaled, factor=0.3, limit=1e-7)},
    "a learning rate ten times smaller": {"training.learning_rate": partial(_scaled, factor=0.1, limit=1e-7)},
    "larger batches": {"training.batch_size": _larger_batch},
    "averaged weights": {"training.ema_momentum": lambda value, setup: value or 0.998},
    "more validation images": {"data.validation_share": _larger_validation_share},
    "all of the training photos": {"data.train_subset": lambda value, setup: 0},
}
"""For each remedy, the settings that bring it about, each with its rule. The first that can be changed is named."""

REMEDIES: dict[str, tuple[str, ...]] = {
    "diverged": ("a learning rate ten times smaller",),
    "learned_nothing": ("smaller steps", "all of the training photos"),
    "over_fitting": (
        "more dropout",
        "stronger augmentation",
        "hiding parts of the images",
        "more weight decay",
        "a smaller network",
        "all of the training photos",
    ),
    "under_fitting": (
        "less dropout",
        "weaker augmentation",
        "a smaller penalty on weights",
        "larger images",
        "a larger network",
    ),
    "noisy_validation": ("smaller steps", "larger batches", "averaged weights", "more validation images"),
    "few_images": ("more validation images",),
    "memorized_late": ("stronger augmentation", "more dropout"),
    "small_set": ("all of the training photos",),
    "generalizes": ("a larger network", "larger images"),
}
"""What helps against each kind of finding, the best first."""

OPPOSED: dict[str, tuple[str, ...]] = {
    # A network can over-fit and under-fit at once: weak on training photos, and weaker on others. Then a smaller
    # network does not help, and neither does a larger or less regularized one.
    "over_fitting": ("less dropout", "weaker augmentation", "a smaller penalty on weights", "a larger network"),
    "under_fitting": ("a smaller network",),
    "memorized_late": ("less dropout", "weaker augmentation"),
}
"""For each kind of finding, the remedies that are then not named for any finding."""


def _sentence(start: str, changes: Sequence[str]) -> str:
    """`Start one, two or three.`; empty if there are no changes."""
    text = start + " or ".join(filter(None, [", ".join(changes[:-1]), *changes[-1:]]))
    return f"{text[:1].upper()}{text[1:]}." if changes else ""
