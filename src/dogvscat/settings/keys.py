"""The settings by key, such as `training.learning_rate`: all of them, their meanings, and where two configurations
differ."""

import ast
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

from dogvscat.config import Config, Section


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
