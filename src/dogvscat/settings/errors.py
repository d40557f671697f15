"""What is wrong with a setting, in the words of this project and of TOML instead of those of pydantic."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from dogvscat.config import NETWORK_ERROR, REPLACED, Config
from dogvscat.errors import ConfigError
from dogvscat.settings.keys import setting_keys
from dogvscat.settings.toml import toml_value

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


class ReplacedSettingError(ConfigError):
    """A setting that only earlier versions have."""


def config_error(invalid: ValidationError) -> ConfigError:
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


def unknown_setting(key: str, candidates: Iterable[str]) -> ConfigError:
    """The error for a setting that does not exist. If earlier versions had it, the hint says what to write now."""
    if key in REPLACED:
        return ReplacedSettingError(f"there is no setting {key!r} any more", hint=f"Write {REPLACED[key]}.")
    return ConfigError(f"there is no setting {key!r}", hint=suggest(key, candidates).strip() or None)


def suggest(word: str, candidates: Iterable[str]) -> str:
    """` Did you mean ...?` with the candidate most similar to the word; empty if none is similar."""
    matches = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""
