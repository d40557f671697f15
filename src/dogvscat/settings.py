"""Reads settings from recipes, files and flags, and checks them as a whole.

A recipe is a TOML file with the sections `data`, `augmentation`, `network` and `training`. Later sources override
earlier ones: default < recipe < file < flag (`--set training.epochs=40`). The result is saved with the run as TOML that
`--config` reads back. An unknown key is an error that suggests the most similar key.
"""

import ast
import difflib
import inspect
import itertools
import json
import re
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dogvscat.config import NETWORK_ERROR, REPLACED, Config, Section
from dogvscat.errors import ConfigError

_EXPECTED = {
    "int_type int_parsing int_from_float": "expected a whole number",
    "float_type float_parsing finite_number": "expected a number",
    "bool_type bool_parsing": "expected true or false",
    "string_type": "expected a word in quotes",
    "tuple_type": "expected a list in brackets, such as [32, 64]",
    "dict_type model_type model_attributes_type": "expected a table of settings",
    "literal_error": "expected {expected}",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "missing": "expected a value",
}
"""What a value should have been, by pydantic's types of errors (several types share a text)."""

RECIPES_FOLDER = Path(__file__).parent / "recipes"


class ReplacedSettingError(ConfigError):
    """A setting of an earlier version."""


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
        raise _config_error(error) from None


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
            raise _config_error(error) from None


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
        document = _merge(document, {section: {field: _parse_value(text.strip())}})
    return document


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """The configuration with some `section.key=value` settings replaced, checked again.

    Raises:
        ConfigError: as for `resolve_config`.
    """
    return build_config(_merge(config.model_dump(), parse_settings(settings)))


def to_toml(config: Config, *, commented: bool = False) -> str:
    """The configuration as TOML that `--config` reads back to an equal one.

    Args:
        config: The configuration.
        commented: Whether the meaning of each setting stands above it as a comment.
    """
    lines = [f"recipe = {toml_value(config.recipe)}"]
    for name in Config.model_fields:
        if not isinstance(section := getattr(config, name), Section):  # `recipe`, which is written already
            continue
        lines += ["", f"[{name}]"]
        values = section.model_dump()
        for key in type(section).model_fields if commented else values:
            meaning = setting_meanings(type(section))[key] if commented else ""
            lines += [f"# {line}" for line in textwrap.wrap(meaning, 110)]
            # What changes the layers has no value of its own: the layers have its result.
            lines += [f"{key} = {_toml_lines(values[key])}" if key in values else f"# {key} ="]
    return "\n".join(lines) + "\n"


def setting_meanings(section: type[Section]) -> dict[str, str]:
    """The meaning of each setting of a section, by key: the docstring below it in config.py, on one line.

    The source is parsed only when the meanings are needed. pydantic could collect them, but would do so at every start
    of the program, which takes longer than importing pydantic.
    """
    source = ast.parse(inspect.getsource(section))
    body = next(node.body for node in source.body if isinstance(node, ast.ClassDef))
    meanings = {}
    for setting, docstring in itertools.pairwise(body):  # `epochs: int = ...` and the string that follows it
        match setting, docstring:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                meanings[name] = " ".join(text.split())
    return meanings


def toml_value(value: Any) -> str:
    """The value of a setting as TOML."""
    if isinstance(value, bool):  # before numbers: a bool is an int
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML string, except for the surrogate pairs that JSON's ASCII escapes use.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)


def _toml_lines(value: Any) -> str:
    """The value as TOML, with a line for each text of a list."""
    if not (isinstance(value, tuple | list) and len(value) > 1 and all(isinstance(entry, str) for entry in value)):
        return toml_value(value)
    return "\n".join(["[", *(f"    {toml_value(entry)}," for entry in value), "]"])


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:  # a word without quotes, such as `adam`
        return text


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: if there is no such file or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None


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


def unknown_setting(key: str, candidates: Iterable[str]) -> ConfigError:
    """The error for a setting that does not exist, with what to write for one of an earlier version."""
    if key in REPLACED:
        return ReplacedSettingError(f"there is no setting {key!r} any more", hint=f"Write {REPLACED[key]}.")
    return ConfigError(f"there is no setting {key!r}", hint=suggest(key, candidates).strip() or None)


def _config_error(invalid: ValidationError) -> ConfigError:
    """The first of pydantic's errors, in the words of this project."""
    first = invalid.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        candidates = list(setting_keys() if "." in key else Config.model_fields)
        # A key that exists in another section is the best suggestion.
        candidates = [name for name in candidates if name.endswith(f".{first['loc'][-1]}")] or candidates
        error = unknown_setting(key, candidates)
        hints = [error.hint, "`dogvscat train --show-settings` lists every setting."]
        return type(error)(error.message, hint=" ".join(filter(None, hints)))
    message = describe_error(first)
    if not key or first["type"] in (
        "value_error",
        NETWORK_ERROR,
    ):  # the message of a validator names the keys and values itself
        return ConfigError(message)
    hint = suggest(str(first["input"]), re.findall("'(.+?)'", message)) if first["type"] == "literal_error" else ""
    return ConfigError(f"{key}: {message}, received {toml_value(first['input'])}", hint=hint.strip() or None)


def describe_error(error: Mapping[str, Any]) -> str:
    """What a value should have been, in the words of TOML, which has lists and no tuples.

    Args:
        error: One of pydantic's errors.
    """
    kind, limits = error["type"], error.get("ctx", {})
    if kind in ("too_short", "too_long"):
        least, most = limits.get("min_length"), limits.get("max_length")
        bound, count = ("least", least) if kind == "too_short" else ("most", most)
        return f"expected at {bound} {count} {'entry' if count == 1 else 'entries'}"
    for kinds, text in _EXPECTED.items():
        if kind in kinds.split():
            return text.format(**limits)
    return str(error["msg"]).removeprefix("Value error, ")


def setting_keys() -> list[str]:
    """Every setting as `section.key`, in the order of the sections."""
    sections = {name: field.annotation for name, field in Config.model_fields.items() if name != "recipe"}
    return [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]  # type: ignore[union-attr]


def setting_meaning(key: str) -> str:
    """The meaning of one setting, the docstring in config.py.

    Args:
        key: For example `network.dropout`.
    """
    section, _, name = key.partition(".")
    table = Config.model_fields[section].annotation
    return setting_meanings(table)[name]  # type: ignore[arg-type]


def suggest(word: str, candidates: Iterable[str]) -> str:
    """` Did you mean ...?` with the candidate most similar to the word; empty if none is similar."""
    matches = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def flatten(table: Any) -> Any:
    """A table with keys such as `network.dropout`, from keys in quotes or tables in tables. Other values pass through,
    for pydantic to refuse."""
    if not isinstance(table, Mapping):
        return table
    flat: dict[str, Any] = {}
    for key, value in table.items():
        # A mapping below another key is a value itself, such as the range of a search dimension.
        nested = key in Config.model_fields and isinstance(value, Mapping)
        flat.update({f"{key}.{inner}": content for inner, content in value.items()} if nested else {key: value})
    return flat


def differences(first: Config, second: Config) -> list[tuple[str, Any, Any]]:
    """The settings in which two configurations differ: key, first value and second value, in the order of config.py.

    Of the layers only the entries that differ are listed.
    """
    documents = [config.model_dump() for config in (first, second)]
    rows = []
    for key in setting_keys():
        section, _, name = key.partition(".")
        first_value, second_value = (document[section].get(name) for document in documents)
        if key == "network.layers" and set(first_value) != set(second_value):
            first_value, second_value = (
                tuple(entry for entry in layers if entry not in others)
                for layers, others in ((first_value, second_value), (second_value, first_value))
            )
        if first_value != second_value:
            rows.append((key, first_value, second_value))
    return rows
