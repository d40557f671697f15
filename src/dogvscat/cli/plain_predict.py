"""Reads the usual command lines of `predict` without Typer, whose import takes longer than an answer.

Only `predict` with photos, `--json` and `--model MODEL` is read here. All other command lines, and all wrong ones, are
left to Typer, which reads them from the start. So options, help and error messages have one place, predict.py.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class PlainPredict(NamedTuple):
    """The arguments of a plain command line; all others have their defaults."""

    photos: list[str]
    model: Path | None
    as_json: bool


def read_plain_predict(arguments: Sequence[str]) -> PlainPredict | None:
    """The arguments of a plain `predict`, or None for a command line that only Typer can read.

    Args:
        arguments: Without the program's name.
    """
    if not arguments or arguments[0] != "predict" or os.name == "nt":  # on Windows, Typer expands wildcards
        return None
    photos: list[str] = []
    model, as_json = None, False
    words = iter(arguments[1:])
    for word in words:
        if word == "--json":
            as_json = True
        elif word == "--model" and model is None:
            model = next(words, "")
            if not model or model.startswith("-"):
                return None
        elif word == "-" or not word.startswith("-"):
            photos.append(word)
        else:
            return None
    return PlainPredict(photos, None if model is None else Path(model), as_json) if photos else None
