"""Reads settings from recipes, files and flags, and checks them as a whole.

A recipe is a TOML file with the sections `data`, `augmentation`, `network` and `training`. Later sources override
earlier ones: default < recipe < file < flag (`--set training.epochs=40`). The result is saved with the run as TOML that
`--config` reads back. An unknown key is an error that suggests the most similar key.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.settings.errors import config_error, suggest
from dogvscat.settings.toml import parse_value, read_toml

RECIPES_FOLDER = Path(__file__).parents[1] / "recipes"


def recipe_names() -> list[str]:
    """Names of the bundled recipes, sorted."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))


def load_recipe(name_or_file: str) -> dict[str, Any]:
    """The settings of a bundled recipe by name, or of a TOML file by path.

    Raises:
        ConfigError: if there is neither, or the file is not TOML.
    """
    if name_or_file in recipe_names():
        return {"recipe": name_or_file, **read_toml(RECIPES_FOLDER / f"{name_or_file}.toml")}
    path = Path(name_or_file)
    if path.suffix == ".toml" or path.is_file():
        return {"recipe": path.stem, **read_toml(path)}
    hint = f"Recipes: {', '.join(recipe_names())}; or give the path of a TOML file." + suggest(
        name_or_file, recipe_names()
    )
    raise ConfigError(f"there is no recipe {name_or_file!r}", hint=hint)


def resolve_config(recipe: str, file: Path | None = None, settings: Iterable[str] = ()) -> Config:
    """The complete configuration from all sources.

    Args:
        recipe: Name of a bundled recipe, or path of a TOML file.
        file: TOML file whose settings override those of the recipe.
        settings: `section.key=value`, which override both.

    Raises:
        ConfigError: if a setting is unknown or its value impossible.
    """
    document = load_recipe(recipe)
    if file is not None:
        document = _merge(document, read_toml(file))
    return build_config(_merge(document, parse_settings(settings)))


def build_config(document: Mapping[str, Any]) -> Config:
    """Check nested tables of settings and build the configuration from them.

    Raises:
        ConfigError: as for `resolve_config`.
    """
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise config_error(error) from None


def refuse_impossible(key: str, value: Any) -> None:
    """Make sure that a setting exists and may have this value, whatever the other settings are.

    Raises:
        ConfigError: if the setting is unknown, or the value is of a wrong type or out of range.
    """
    section, _, name = key.partition(".")
    try:
        Config.model_validate({section: {name: value}})
    except ValidationError as error:
        # A `value_error` comes from a validator in config.py: it is about several settings, here with defaults.
        if error.errors()[0]["type"] != "value_error":
            raise config_error(error) from None


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Nested tables from settings such as `training.learning_rate=0.001`. A value is TOML if it can be, else a string.

    Raises:
        ConfigError: if a setting is not of the form `section.key=value`.
    """
    document: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        section, dot, field = key.strip().partition(".")
        if not (separator and dot and section and field):
            hint = "Example: --set training.learning_rate=0.001"
            raise ConfigError(f"expected --set section.key=value, received {setting!r}", hint=hint)
        document = _merge(document, {section: {field: parse_value(text.strip())}})
    return document


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """The configuration with some `section.key=value` settings replaced, checked again.

    Raises:
        ConfigError: as for `resolve_config`.
    """
    return build_config(_merge(config.model_dump(), parse_settings(settings)))


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with the values of `upper` over those of `lower`, key by key; changes of the network add up."""
    merged = dict(lower)
    for key, value in upper.items():
        if key == "changes" and key in merged:
            value = [change for changes in (merged[key], value) for change in _listed(changes)]
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else [value]
