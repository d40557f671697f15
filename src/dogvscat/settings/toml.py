"""Settings as TOML, written and read."""

import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from dogvscat.config import Config, Section
from dogvscat.errors import ConfigError
from dogvscat.settings.keys import setting_meanings


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
            # Settings that change the layers have no value of their own: `layers` has the result.
            lines += [f"{key} = {_toml_lines(values[key])}" if key in values else f"# {key} ="]
    return "\n".join(lines) + "\n"


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


def parse_value(text: str) -> Any:
    """The value of a setting from its TOML. A text that is not TOML, such as a word without quotes, is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:  # such as `adam`
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
