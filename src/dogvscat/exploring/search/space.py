"""Where a search looks: a recipe, what is fixed, and for each setting that is searched its bounds or its choices.

recipe = "classic"

[base]                                  # fixed for every trial
"training.epochs" = 20

[space]
"training.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"network.dropout" = { low = 0.0, high = 0.6 }
"training.batch_size" = { choices = [32, 64, 128] }
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import Trial
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.exploring.fixed_settings import refuse_fixed
from dogvscat.exploring.plan_files import shipped_file
from dogvscat.learning.inactive_settings import inactive_settings, why_inactive
from dogvscat.settings import (
    flattened,
    in_toml_words,
    known_keys,
    nearest,
    parse_settings,
    read_toml,
    refuse_impossible,
    resolve_config,
    toml_value,
)

SPACES_FOLDER = Path(__file__).parent / "builtin"
_LARGEST = 1e12


class Dimension(BaseModel):
    """The values one setting may take: between `low` and `high`, or one of `choices`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Even on a logarithmic scale; for rates."""
    step: int | float | None = None
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> "Dimension":
        for number in (self.low, self.high, self.step):
            if number is not None and not abs(number) <= _LARGEST:
                raise ValueError(f"expected finite numbers, received {number}")
        bounds = self.low is not None and self.high is not None
        if bounds == bool(self.choices):
            given = ", ".join(name for name in ("low", "high", "choices") if getattr(self, name) not in (None, ()))
            raise ValueError(f"expected either low and high, or choices; received {given or 'neither'}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low must be smaller than high, received {self.low} and {self.high}")
        if self.log and (self.low or 0) <= 0:
            raise ValueError(f"a logarithmic scale begins above 0, received low = {self.low}")
        if self.step is not None:
            self._step_possible(self.step)
        return self

    def _step_possible(self, step: float) -> None:
        if self.choices or self.log:
            raise ValueError(f"a step goes with low and high on a plain scale, received step = {step}")
        if step <= 0 or (self._whole and step != int(step)):
            kind = "whole number" if self._whole else "number"
            raise ValueError(f"expected a step that is a {kind} above 0, received {step}")

    @property
    def examples(self) -> tuple[Any, ...]:
        """The choices; or both bounds and, unless they are whole, a broken number between them."""
        if self.low is None or self.high is None or self._whole:
            return self.choices or (self.low, self.high)
        return (self.low, self.high, self.low + (self.step or (self.high - self.low) / math.pi))

    @property
    def _whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def _texts(self) -> list[str]:
        return [toml_value(choice) for choice in self.choices]  # Optuna keeps words and numbers alone

    def value(self, param: Any) -> Any:
        """The value that a parameter in the storage stands for."""
        return self.choices[self._texts.index(param)] if self.choices else param

    def suggest(self, trial: Trial, key: str) -> Any:
        """A value for a trial."""
        if self.low is None or self.high is None:
            return self.value(trial.suggest_categorical(key, self._texts))
        if self._whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)


class SearchSpace(BaseModel):
    """A search as it is written down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = "classic"
    base: dict[str, Any] = {}
    space: dict[str, Dimension] = Field(min_length=1)

    _flat = field_validator("base", "space", mode="before")(flattened)

    def config(self, values: Mapping[str, Any], seed: int) -> Config:
        """Every setting of a trial.

        Raises:
            ConfigError: for an unknown setting or an impossible combination.
        """
        flags = [f"{key}={toml_value(value)}" for key, value in {**self.base, **values}.items()]
        return resolve_config(self.recipe, None, [*flags, f"training.seed={seed}"])


def shipped_space(recipe: str | None) -> Path:
    """The search space that ships for a recipe.

    Raises:
        ConfigError: if there is none.
    """
    return shipped_file(SPACES_FOLDER, recipe, "search space")


def load_space(file: Path | None, recipe: str | None, settings: Sequence[str] = ()) -> SearchSpace:
    """A search space from a file, or the one that ships for a recipe.

    Args:
        file: The search space, or None.
        recipe: Instead of the space's own, if given.
        settings: Such as `training.threads=1`, for the base; they win over the space's own.

    Raises:
        ConfigError: if there is none, or it cannot be searched.
    """
    file = file or shipped_space(recipe)
    document = read_toml(file)
    if "settings" in document or "seeds" in document:
        hint = "For a search put [space] in place of [settings], with bounds or choices, and leave seeds out."
        raise ConfigError(f"{file} is a study: it goes to `dogvscat study --config`", hint=hint)
    if recipe is not None:
        document["recipe"] = recipe
    given = flattened(parse_settings(settings))
    try:
        found = SearchSpace.model_validate(document)
        found = found.model_copy(update={"base": {**found.base, **given}})
    except ValidationError as error:
        raise _explained(file, error) from None
    for key in found.space:
        if key not in known_keys():
            raise ConfigError(f"{file}: there is no setting {key!r}", hint=nearest(key, known_keys()).strip() or None)
    try:
        refuse_fixed(found.space, "space")
        for key, dimension in found.space.items():
            for value in dimension.examples:
                refuse_impossible(key, value)
        _refuse_idle(found)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", hint=error.hint) from None
    return found


def _refuse_idle(space: SearchSpace) -> None:
    base = space.config({}, 0)
    for key, decisive in inactive_settings(base).items():
        if key in space.space and decisive not in space.space:
            hint = f"Take it out of [space], or give {decisive} another value in [base] or values in [space]."
            raise ConfigError(str(why_inactive(base, key)), hint=hint)


def _explained(file: Path, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    message = in_toml_words(first)
    if first["type"] in ("model_type", "model_attributes_type", "missing"):
        message = "expected bounds or choices, such as { low = 0.0, high = 0.6 } or { choices = [32, 64] }"
    if first["type"] != "value_error":  # else what was received is in the message
        message += f", received {toml_value(first['input'])}"
    hint = nearest(str(first["loc"][-1]), [*SearchSpace.model_fields, *Dimension.model_fields]).strip()
    return ConfigError(f"{file}: {key}: {message}", hint=hint or None)
