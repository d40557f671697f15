"""What a study tries: a base, and changes to it, each made separately and trained with several seeds.

A study is a TOML file:

    recipe = "classic"
    seeds = [1, 2, 3]

    [base]                              # the same for every training
    "training.epochs" = 20

    [settings]                          # each value is tried separately against the base
    "network.dropout" = [0.0, 0.25]

    [variants."SGD, rate 0.05"]         # settings that only make sense together count as one change
    "training.optimizer" = "sgd"
    "training.learning_rate" = 0.05
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.exploring.plan_files import DEFAULT_RECIPE, builtin_file, refuse_fixed, refuse_neither_output
from dogvscat.exploring.training_job import config_name
from dogvscat.learning.inactive_settings import why_inactive, without_inactive
from dogvscat.settings.errors import describe_error, suggest
from dogvscat.settings.keys import flatten
from dogvscat.settings.resolve import parse_settings, resolve_config
from dogvscat.settings.toml import read_toml, toml_value
from dogvscat.stderr import Reporter

STUDIES_FOLDER = Path(__file__).parent / "builtin"
BASE = "base"
VARIANT = "variant"


class StudyPlan(BaseModel):
    """A study as it is written in its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = DEFAULT_RECIPE
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)
    base: dict[str, Any] = {}
    settings: dict[str, tuple[Any, ...]] = {}
    variants: dict[str, dict[str, Any]] = {}

    # Keys may be written as "network.dropout" or as a table [network] with a key dropout.
    _flat = field_validator("base", "settings", mode="before")(flatten)

    @field_validator("seeds")
    @classmethod
    def _every_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("expected each seed only once")
        return seeds

    @field_validator("variants", mode="before")
    @classmethod
    def _flat_variants(cls, table: Any) -> Any:
        return {name: flatten(values) for name, values in table.items()} if isinstance(table, Mapping) else table


@dataclass(frozen=True)
class Treatment:
    """A change to the base: a setting with its value, or a named variant. The base itself changes nothing."""

    setting: str
    value: str
    """As written in TOML; a variant's name; empty for the base."""
    overrides: tuple[str, ...]
    """As `--set` takes them."""


@dataclass(frozen=True)
class PlannedCell:
    """One training of a study."""

    treatment: Treatment
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Name of the folder of the cell."""
        return config_name(self.config)


def treatment_name(setting: str, value: str) -> str:
    """A treatment for people: `network.dropout = 0.0`, or the name of a variant."""
    return value if setting == VARIANT else f"{setting} = {value}"


def load_plan(file: Path | None, recipe: str | None = None, settings: Sequence[str] = ()) -> StudyPlan:
    """A study from a file, or the bundled one for a recipe.

    Args:
        file: The study, or None.
        recipe: Replaces the study's own, if given.
        settings: Such as `training.threads=1`, for the base; they override the study's own.

    Raises:
        ConfigError: if there is no such file, or it is not a valid study.
    """
    file = file or builtin_study(recipe)
    document = read_toml(file)
    if recipe is not None:
        document["recipe"] = recipe
    overrides = flatten(parse_settings(settings))
    try:
        plan = StudyPlan.model_validate(document)
        return plan.model_copy(update={"base": {**plan.base, **overrides}})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            if key == "space":  # the file of a search, given to the wrong command
                hint = "For a study, replace [space] by [settings] with lists of values, and add seeds = [1, 2, 3]."
                raise ConfigError(f"{file} is a search space, for `dogvscat tune --config`", hint=hint) from None
            hint = f"A study has {', '.join(StudyPlan.model_fields)}.{suggest(key, StudyPlan.model_fields)}"
            raise ConfigError(f"{file}: a study has no entry {key!r}", hint=hint) from None
        raise ConfigError(f"{file}: {key}: {describe_error(first)}, received {toml_value(first['input'])}") from None


def builtin_study(recipe: str | None) -> Path:
    """The file of the bundled study for a recipe.

    Raises:
        ConfigError: if there is none.
    """
    return builtin_file(STUDIES_FOLDER, recipe, "study")


def plan_cells(plan: StudyPlan) -> list[PlannedCell]:
    """Every cell, those of the base first. No two cells are the same training.

    Raises:
        ConfigError: for an unknown setting or an impossible combination, naming the setting at fault.
    """
    refuse_fixed(plan.settings, "settings")
    for name, values in plan.variants.items():
        refuse_fixed(values, f"variants.{toml_value(name)}")
    treatments = _treatments(plan)
    if not treatments:
        hint = 'For example: [settings] and below it "network.dropout" = [0.0, 0.25]'
        raise ConfigError("the study tries nothing: it has neither settings nor variants", hint=hint)
    cells: list[PlannedCell] = []
    names: set[str] = set()
    # The base is first, so a treatment that equals it is the one that is dropped.
    for treatment in [Treatment(BASE, "", ()), *treatments]:
        for seed in plan.seeds:
            config = _config(plan, treatment, seed)
            refuse_neither_output(config)
            # Settings without effect are ignored: two cells that differ only in them would be the same training twice.
            name = config_name(without_inactive(config))
            if name not in names:
                names.add(name)
                cells.append(PlannedCell(treatment, seed, config))
    return cells


def report_untried(plan: StudyPlan, cells: Sequence[PlannedCell], report: Reporter) -> None:
    """Report what a study lists and does not train: values of the base, duplicates, and settings without effect."""
    trained = {cell.treatment for cell in cells}
    for treatment in _treatments(plan):
        name = treatment_name(treatment.setting, treatment.value)
        config = _config(plan, treatment, plan.seeds[0])
        # All overrides of a variant may be inactive, or only some of them; then it is trained.
        keys = [override.partition("=")[0] for override in treatment.overrides]
        reasons = [reason for key in keys if (reason := why_inactive(config, key))]
        if treatment in trained:
            for reason in reasons:
                report(f"{name}: {reason}")
        else:
            report(f"{name} is not tried: {reasons[0] if reasons else 'it equals the base, or is listed twice'}")


def _treatments(plan: StudyPlan) -> list[Treatment]:
    single = [
        Treatment(key, toml_value(value), (f"{key}={toml_value(value)}",))
        for key, values in plan.settings.items()
        for value in map(_lists_to_tuples, values)
    ]
    return single + [Treatment(VARIANT, name, _overrides(values)) for name, values in plan.variants.items()]


def _config(plan: StudyPlan, treatment: Treatment, seed: int) -> Config:
    try:
        settings = [*_overrides(plan.base), *treatment.overrides, f"training.seed={seed}"]
        return resolve_config(plan.recipe, None, settings)
    except ConfigError as error:
        if error.message.startswith(f"{treatment.setting}:"):  # the message names setting and value already
            raise
        name = treatment_name(treatment.setting, treatment.value) if treatment.value else "the base of the study"
        raise ConfigError(f"{name}: {error.message}", hint=error.hint) from None


def _overrides(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings as `--set` takes them."""
    return tuple(f"{key}={toml_value(_lists_to_tuples(value))}" for key, value in values.items())


def _lists_to_tuples(value: Any) -> Any:
    """The value with tuples in place of lists, nested ones too, as the configuration has them."""
    return tuple(map(_lists_to_tuples, value)) if isinstance(value, list) else value
