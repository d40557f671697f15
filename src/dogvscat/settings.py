"""Where settings come from: recipes, files and flags, checked as a whole, with the nearest known key for a wrong one.

A recipe is a TOML file with the sections `data`, `augmentation`, `network` and `training`. Settings are resolved in the
order default < recipe < file < flag (`--set training.epochs=40`) and saved with the run, so that the saved file can be
fed back. Unknown keys are errors, with the nearest known key as a suggestion.
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

from dogvscat.config import Config, Section
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
"""By pydantic's kinds of errors, what a value should have been."""

RECIPES_FOLDER = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that ship, sorted."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))


def load_recipe(name_or_file: str) -> dict[str, Any]:
    """The settings of a shipped recipe by name, or of a TOML file by path.

    Raises:
        ConfigError: if there is neither, or the file is not TOML.
    """
    shipped = RECIPES_FOLDER / f"{name_or_file}.toml"
    if name_or_file in recipe_names():
        return {"recipe": name_or_file, **read_toml(shipped)}
    path = Path(name_or_file)
    if path.suffix == ".toml" or path.is_file():
        return {"recipe": path.stem, **read_toml(path)}
    hint = f"Recipes: {', '.join(recipe_names())}; or give the path of a TOML file." + suggest(
        name_or_file, recipe_names()
    )
    raise ConfigError(f"there is no recipe {name_or_file!r}", hint=hint)


def resolve_config(recipe: str, file: Path | None = None, settings: Iterable[str] = ()) -> Config:
    """The whole configuration: defaults, then the recipe, then a file, then `section.key=value` settings.

    Raises:
        ConfigError: naming the key and the nearest known one, or the value and what was expected.
    """
    document = load_recipe(recipe)
    if file is not None:
        document = _merged(document, read_toml(file))
    return build_config(_merged(document, parse_settings(settings)))


def build_config(document: Mapping[str, Any]) -> Config:
    """A checked configuration from nested tables.

    Raises:
        ConfigError: as for `resolve_config`.
    """
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise _explain(error) from None


def refuse_impossible(key: str, value: Any) -> None:
    """Make sure that a setting may have a value at all, whatever the other settings are.

    Raises:
        ConfigError: if it is unknown, or the value is of another type or out of range.
    """
    section, _, name = key.partition(".")
    try:
        Config.model_validate({section: {name: value}})
    except ValidationError as error:
        if error.errors()[0]["type"] != "value_error":  # those are about settings that do not go together
            raise _explain(error) from None


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Nested tables from settings such as `training.learning_rate=0.001`; values are TOML, else plain words.

    Raises:
        ConfigError: if one is not of the form `section.key=value`.
    """
    document: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        section, dot, field = key.strip().partition(".")
        if not (separator and dot and section and field):
            hint = "Example: --set training.learning_rate=0.001"
            raise ConfigError(f"expected --set section.key=value, received {setting!r}", hint=hint)
        document.setdefault(section, {})[field] = _parse_value(text.strip())
    return document


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """The configuration with some settings replaced, checked again."""
    return build_config(_merged(config.model_dump(), parse_settings(settings)))


def to_toml(config: Config, *, explained: bool = False) -> str:
    """The configuration as TOML that `--config` reads back to an equal one.

    Args:
        config: The configuration.
        explained: With the meaning of each setting as a comment above it.
    """
    lines = [f"recipe = {toml_value(config.recipe)}"]
    for name in Config.model_fields:
        if not isinstance(section := getattr(config, name), Section):
            continue
        lines += ["", f"[{name}]"]
        for key, value in section.model_dump().items():
            meaning = setting_meanings(type(section))[key] if explained else ""
            lines += [f"# {line}" for line in textwrap.wrap(meaning, 110)]
            lines += [f"{key} = {toml_value(value)}"]
    return "\n".join(lines) + "\n"


def setting_meanings(section: type[Section]) -> dict[str, str]:
    """What the settings of a section mean: the docstrings below them in config.py, on one line each.

    Read from the source when somebody asks. pydantic could collect them, but would on every start of the program, and
    that takes longer than importing pydantic does.
    """
    source = ast.parse(inspect.getsource(section))
    body = next(node.body for node in source.body if isinstance(node, ast.ClassDef))
    meanings = {}
    for setting, docstring in itertools.pairwise(body):
        match setting, docstring:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                meanings[name] = " ".join(text.split())
    return meanings


def toml_value(value: Any) -> str:
    """A setting's value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a TOML basic string, which knows no surrogate pairs
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
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


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for key, value in upper.items():
        both_tables = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both_tables else value
    return result


def _explain(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(setting_keys() if "." in key else Config.model_fields)
        known = [other for other in known if other.endswith(f".{first['loc'][-1]}")] or known  # of another section
        hint = f"{suggest(key, known)} `dogvscat train --show-settings` lists every one."
        return ConfigError(f"there is no setting {key!r}", hint=hint.strip())
    message = describe_error(first)
    if not key or first["type"] == "value_error":  # what was received is in the message
        return ConfigError(message)
    hint = suggest(str(first["input"]), re.findall("'(.+?)'", message)) if first["type"] == "literal_error" else ""
    return ConfigError(f"{key}: {message}, received {toml_value(first['input'])}", hint=hint.strip() or None)


def describe_error(error: Mapping[str, Any]) -> str:
    """What a value should have been, for whoever writes TOML or `--set`, who has lists and no tuples."""
    kind, limits = error["type"], error.get("ctx", {})
    if kind in ("too_short", "too_long"):
        least, most = limits.get("min_length"), limits.get("max_length")
        return f"expected a list of at {f'least {least}' if kind == 'too_short' else f'most {most}'}"
    for kinds, words in _EXPECTED.items():
        if kind in kinds.split():
            return words.format(**limits)
    return str(error["msg"]).removeprefix("Value error, ")


def setting_keys() -> list[str]:
    """Every setting as `section.key`, in the order of the sections."""
    sections = {name: field.annotation for name, field in Config.model_fields.items() if name != "recipe"}
    return [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]  # type: ignore[union-attr]


def setting_meaning(key: str) -> str:
    """What a setting means, in the words of config.py."""
    section, _, name = key.partition(".")
    table = Config.model_fields[section].annotation
    return setting_meanings(table)[name]  # type: ignore[arg-type]


def suggest(word: str, known: Iterable[str]) -> str:
    """A question that suggests the known word most like another one; empty if none is."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]!r}?" if found else ""


def flatten(table: Any) -> Any:
    """A table with keys such as `network.dropout`, whether they were written so in quotes or as tables in tables."""
    if not isinstance(table, Mapping):
        return table
    flat: dict[str, Any] = {}
    for key, value in table.items():
        nested = key in Config.model_fields and isinstance(value, Mapping)
        flat.update({f"{key}.{inner}": content for inner, content in value.items()} if nested else {key: value})
    return flat


def differences(first: Config, second: Config) -> list[tuple[str, Any, Any]]:
    """The settings that are not equal: key, value of the first, value of the second, in the order of the sections."""
    documents = [config.model_dump() for config in (first, second)]
    rows = []
    for key in setting_keys():
        section, _, name = key.partition(".")
        one, other = (document[section][name] for document in documents)
        if one != other:
            rows.append((key, one, other))
    return rows
