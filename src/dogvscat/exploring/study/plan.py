"""What a study tries: a base, and settings each changed alone against it, with several seeds.

A study is a TOML file:

    recipe = "classic"
    seeds = [1, 2, 3]

    [base]                              # fixed for every cell
    "training.epochs" = 20

    [settings]                          # each value is tried alone against the base
    "network.dropout" = [0.0, 0.25]

    [variants."SGD, rate 0.05"]         # settings that only make sense together count as one
    "training.optimizer" = "sgd"
    "training.learning_rate" = 0.05
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.exploring.fixed_settings import refuse_fixed
from dogvscat.exploring.plan_files import shipped_file
from dogvscat.learning.inactive_settings import why_inactive, without_inactive
from dogvscat.settings import (
    flattened,
    in_toml_words,
    nearest,
    parse_settings,
    read_toml,
    resolve_config,
    to_toml,
    toml_value,
)
from dogvscat.stderr import Reporter

STUDIES_FOLDER = Path(__file__).parent / "builtin"
BASE = "base"
VARIANT = "variant"


class StudyPlan(BaseModel):
    """A study as it is written down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = "classic"
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)
    base: dict[str, Any] = {}
    settings: dict[str, tuple[Any, ...]] = {}
    variants: dict[str, dict[str, Any]] = {}

    _flat = field_validator("base", "settings", mode="before")(flattened)

    @field_validator("seeds")
    @classmethod
    def _every_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("expected every seed once")
        return seeds

    @field_validator("variants", mode="before")
    @classmethod
    def _flat_variants(cls, table: Any) -> Any:
        return {name: flattened(values) for name, values in table.items()} if isinstance(table, Mapping) else table


@dataclass(frozen=True)
class Treatment:
    """What is changed against the base: a setting with its value, or a named variant. The base changes nothing."""

    setting: str
    value: str
    """As TOML has it; a variant's name; empty for the base."""
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
        """Of its folder."""
        return config_name(self.config)


def treatment_name(setting: str, value: str) -> str:
    """A treatment for people: `network.dropout = 0.0`, or the name of a variant."""
    return value if setting == VARIANT else f"{setting} = {value}"


def config_name(config: Config) -> str:
    """A short name for some settings: equal for equal ones, in whatever study or search."""
    return hashlib.sha256(to_toml(config).encode()).hexdigest()[:16]


def load_plan(file: Path | None, recipe: str | None = None, settings: Sequence[str] = ()) -> StudyPlan:
    """A study from a file, or the one that ships for a recipe.

    Args:
        file: The study, or None.
        recipe: Instead of the study's own, if given.
        settings: Such as `training.threads=1`, for the base; they win over the study's own.

    Raises:
        ConfigError: if there is none, or it says something that no study can do.
    """
    file = file or shipped_study(recipe)
    document = read_toml(file)
    if recipe is not None:
        document["recipe"] = recipe
    given = flattened(parse_settings(settings))
    try:
        plan = StudyPlan.model_validate(document)
        return plan.model_copy(update={"base": {**plan.base, **given}})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            if key == "space":
                hint = "For a study put [settings] in place of [space], with lists of values, and seeds = [1, 2, 3]."
                raise ConfigError(f"{file} is a search space: it goes to `dogvscat tune --config`", hint=hint) from None
            hint = f"A study has {', '.join(StudyPlan.model_fields)}.{nearest(key, StudyPlan.model_fields)}"
            raise ConfigError(f"{file}: there is nothing called {key!r} in a study", hint=hint) from None
        raise ConfigError(f"{file}: {key}: {in_toml_words(first)}, received {toml_value(first['input'])}") from None


def shipped_study(recipe: str | None) -> Path:
    """The study that ships for a recipe.

    Raises:
        ConfigError: if there is none.
    """
    return shipped_file(STUDIES_FOLDER, recipe, "study")


def plan_cells(plan: StudyPlan) -> list[PlannedCell]:
    """Every cell, the base's first; none that trains as another or as the base does.

    Raises:
        ConfigError: for an unknown setting or an impossible combination, naming the one that is at fault.
    """
    refuse_fixed(plan.settings, "settings")
    for name, values in plan.variants.items():
        refuse_fixed(values, f"variants.{toml_value(name)}")
    base = Treatment(BASE, "", ())
    cells: list[PlannedCell] = []
    known: set[str] = set()
    treatments = _treatments(plan)
    if not treatments:
        hint = 'For example: [settings] and below it "network.dropout" = [0.0, 0.25]'
        raise ConfigError("the study tries nothing: it has neither settings nor variants", hint=hint)
    for treatment in [base, *treatments]:
        for seed in plan.seeds:
            cell = PlannedCell(treatment, seed, _config(plan, treatment, seed))
            trains_as = config_name(without_inactive(cell.config))
            if trains_as not in known:
                known.add(trains_as)
                cells.append(cell)
    return cells


def say_untried(plan: StudyPlan, cells: Sequence[PlannedCell], report: Reporter) -> None:
    """Tell what a study lists and does not train: values that the base has, that are listed twice or without effect."""
    tried = {cell.treatment for cell in cells}
    for treatment in _treatments(plan):
        name = treatment_name(treatment.setting, treatment.value)
        config = _config(plan, treatment, plan.seeds[0])
        idle = [why for setting in treatment.overrides if (why := why_inactive(config, setting.partition("=")[0]))]
        if treatment in tried:
            for why in idle:
                report(f"{name}: {why}")
        else:
            report(f"{name} is not tried: {idle[0] if idle else 'the base has it, or it is listed twice'}")


def _treatments(plan: StudyPlan) -> Sequence[Treatment]:
    changed = [
        Treatment(key, toml_value(value), (f"{key}={toml_value(value)}",))
        for key, values in plan.settings.items()
        for value in map(_plain, values)
    ]
    return changed + [Treatment(VARIANT, name, tuple(_flags(values))) for name, values in plan.variants.items()]


def _config(plan: StudyPlan, treatment: Treatment, seed: int) -> Config:
    try:
        return resolve_config(plan.recipe, None, [*_flags(plan.base), *treatment.overrides, f"training.seed={seed}"])
    except ConfigError as error:
        if error.message.startswith(f"{treatment.setting}:"):  # it names setting and value by itself
            raise
        where = treatment_name(treatment.setting, treatment.value) if treatment.value else "the base of the study"
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


def _flags(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={toml_value(_plain(value))}" for key, value in values.items()]


def _plain(value: Any) -> Any:
    """Words stand for themselves in `--set`, and lists have no tuples."""
    return tuple(map(_plain, value)) if isinstance(value, list) else value
