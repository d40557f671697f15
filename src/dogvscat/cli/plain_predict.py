"""Reads the usual command lines of `predict` without Typer, whose import takes longer than an answer.

Only `predict` with photos, `--json`, `--model MODEL` and `--threads N` is read here. All other command lines, and all
wrong ones, are left to Typer, which reads them from the start. So options, help and error messages have one place,
predict.py.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dogvscat.cpus import MOST_THREADS


class PlainPredict(NamedTuple):
    """The arguments of a plain command line; all others have their defaults."""

    photos: list[str]
    model: Path | None
    threads: int | None
    as_json: bool


def read_plain_predict(arguments: Sequence[str]) -> PlainPredict | None:
    """The arguments of a plain `predict`, or None for a command line that only Typer can read.

    Args:
        arguments: Without the program's name.
    """
    if not arguments or arguments[0] != "predict" or os.name == "nt":  # on Windows, Typer expands wildcards
        return None
    photos: list[str] = []
    values: dict[str, str] = {}
    as_json = False
    words = iter(arguments[1:])
    for word in words:
        if word == "--json":
            as_json = True
        elif word in _IS_VALUE and word not in values:
            values[word] = next(words, "")
            if not _IS_VALUE[word](values[word]):
                return None
        elif word == "-" or not word.startswith("-"):
            photos.append(word)
        else:
            return None
    if not photos:
        return None
    model, threads = values.get("--model"), values.get("--threads")
    return PlainPredict(photos, Path(model) if model else None, int(threads) if threads else None, as_json)


def _is_model(word: str) -> bool:
    return bool(word) and not word.startswith("-")


def _is_number_of_threads(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 3 and 1 <= int(word) <= MOST_THREADS


_IS_VALUE = {"--model": _is_model, "--threads": _is_number_of_threads}
