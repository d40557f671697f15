"""What a search tries: a recipe, the settings that are fixed, and bounds or choices for each setting that is searched.

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

from optuna.trial import BaseTrial
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.exploring.plan_files import DEFAULT_RECIPE, builtin_file, refuse_fixed, refuse_neither_output
from dogvscat.learning.inactive_settings import inactive_settings, why_inactive
from dogvscat.settings.errors import describe_error, suggest, unknown_setting
from dogvscat.settings.keys import flatten, setting_keys
from dogvscat.settings.resolve import parse_settings, refuse_impossible, resolve_config
from dogvscat.settings.toml import read_toml, toml_value

SPACES_FOLDER = Path(__file__).parent / "builtin"
_LARGEST = 1e12  # far beyond any setting; Optuna computes with bounds, and infinite ones would give NaN


class Dimension(BaseModel):
    """The values one setting may take: between `low` and `high`, or one of `choices`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Uniform on a logarithmic scale; for rates."""
    step: int | float | None = None
    """Between the values that are tried; only on a linear scale."""
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Dimension":
        for number in (self.low, self.high, self.step):
            if number is not None and not abs(number) <= _LARGEST:  # also true for NaN
                raise ValueError(f"expected finite numbers, received {number}")
        has_bounds = self.low is not None and self.high is not None
        if has_bounds == bool(self.choices):
            received = ", ".join(name for name in ("low", "high", "choices") if getattr(self, name) not in (None, ()))
            raise ValueError(f"expected either low and high, or choices; received {received or 'neither'}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low must be smaller than high, received {self.low} and {self.high}")
        if self.log and (self.low or 0) <= 0:
            raise ValueError(f"a logarithmic scale must start above 0, received low = {self.low}")
        if self.step is not None:
            self._check_step(self.step)
        return self

    def _check_step(self, step: float) -> None:
        if self.choices or self.log:
            raise ValueError(f"a step needs low and high on a linear scale, received step = {step}")
        if step <= 0 or (self._is_whole and step != int(step)):
            kind = "whole number" if self._is_whole else "number"
            raise ValueError(f"expected a step that is a {kind} above 0, received {step}")

    @property
    def examples(self) -> tuple[Any, ...]:
        """The choices; or both bounds and, unless they are whole numbers, a fraction between them.

        With them a setting can be checked before the search starts: whether it takes such values at all.
        """
        if self.low is None or self.high is None or self._is_whole:
            return self.choices or (self.low, self.high)
        # A third of the way, but never a whole number, to detect a setting that takes only whole numbers.
        return (self.low, self.high, self.low + (self.step or (self.high - self.low) / math.pi))

    @property
    def _is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def _choice_texts(self) -> list[str]:
        return [toml_value(choice) for choice in self.choices]  # Optuna stores only numbers and text, and no lists

    def value(self, param: Any) -> Any:
        """The value that a parameter in the storage stands for."""
        return self.choices[self._choice_texts.index(param)] if self.choices else param

    def suggest(self, trial: BaseTrial, key: str) -> Any:
        """A value for a trial."""
        if self.low is None or self.high is None:
            return self.value(trial.suggest_categorical(key, self._choice_texts))
        if self._is_whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)


class SearchSpace(BaseModel):
    """A search space as it is written in its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = DEFAULT_RECIPE
    base: dict[str, Any] = {}
    space: dict[str, Dimension] = Field(min_length=1)

    # Keys may be written as "network.dropout" or as a table [network] with a key dropout.
    _flat = field_validator("base", "space", mode="before")(flatten)

    def config(self, values: Mapping[str, Any], seed: int) -> Config:
        """Every setting of a trial.

        Raises:
            ConfigError: for an unknown setting or an impossible combination.
        """
        settings = [f"{key}={toml_value(value)}" for key, value in {**self.base, **values}.items()]
        return resolve_config(self.recipe, None, [*settings, f"training.seed={seed}"])


def builtin_space(recipe: str | None) -> Path:
    """The file of the bundled search space for a recipe.

    Raises:
        ConfigError: if there is none.
    """
    return builtin_file(SPACES_FOLDER, recipe, "search space")


def load_space(file: Path | None, recipe: str | None, settings: Sequence[str] = ()) -> SearchSpace:
    """A search space from a file, or the bundled one for a recipe.

    Args:
        file: The search space, or None.
        recipe: Replaces the space's own, if given.
        settings: Such as `training.threads=1`, for the base; they override the space's own.

    Raises:
        ConfigError: if there is none, or it cannot be searched.
    """
    file = file or builtin_space(recipe)
    document = read_toml(file)
    if "settings" in document or "seeds" in document:
        hint = "For a search, replace [settings] by [space] with bounds or choices, and leave out seeds."
        raise ConfigError(f"{file} is a study, for `dogvscat study --config`", hint=hint)
    if recipe is not None:
        document["recipe"] = recipe
    overrides = flatten(parse_settings(settings))
    try:
        space = SearchSpace.model_validate(document)
        space = space.model_copy(update={"base": {**space.base, **overrides}})
    except ValidationError as error:
        raise _config_error(file, error) from None
    # Before the base is resolved, which would report the key without the file.
    for key in space.space:
        if key not in setting_keys():
            unknown = unknown_setting(key, setting_keys())
            raise ConfigError(f"{file}: {unknown.message}", hint=unknown.hint)
    try:
        refuse_fixed(space.space, "space")
        for key, dimension in space.space.items():
            for value in dimension.examples:
                refuse_impossible(key, value)
        base = space.config({}, 0)
        _refuse_inactive(space, base)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", hint=error.hint) from None
    refuse_neither_output(base)
    return space


def _refuse_inactive(space: SearchSpace, base: Config) -> None:
    """Make sure that every setting of the space has an effect, at least in some of the trials."""
    for key, deciding_key in inactive_settings(base).items():
        if key in space.space and deciding_key not in space.space:
            hint = f"Remove it from [space], or change {deciding_key} in [base], or search it in [space]."
            raise ConfigError(str(why_inactive(base, key)), hint=hint)


def _config_error(file: Path, error: ValidationError) -> ConfigError:
    first = error.errors()[0]  # one error is enough: the next ones often follow from it
    key = ".".join(map(str, first["loc"]))
    message = describe_error(first)
    if first["type"] in ("model_type", "model_attributes_type", "missing"):
        message = "expected bounds or choices, such as { low = 0.0, high = 0.6 } or { choices = [32, 64] }"
    if first["type"] != "value_error":  # its message says already what was received
        message += f", received {toml_value(first['input'])}"
    hint = suggest(str(first["loc"][-1]), [*SearchSpace.model_fields, *Dimension.model_fields]).strip()
    return ConfigError(f"{file}: {key}: {message}", hint=hint or None)
