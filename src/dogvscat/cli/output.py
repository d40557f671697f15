"""Output of every command: messages on stderr, results on stdout, file names escaped where they could do harm."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dogvscat.errors import WriteError
from dogvscat.labels import NEITHER
from dogvscat.text import json_line, printable


def report(sentence: str) -> None:
    """Print a message for the person at the terminal on stderr, so that it never mixes with results."""
    # As bytes: a terminal with another encoding than UTF-8 must not make this raise.
    sys.stderr.buffer.write(f"{printable(sentence)}\n".encode())
    sys.stderr.flush()


def show(line: str) -> None:
    """Print one line of the command's result on stdout, as UTF-8; control characters are escaped.

    Raises:
        WriteError: if the disk that stdout goes to is full.
        BrokenPipeError: if the reader has closed the pipe.
    """
    with _checked_stdout():
        sys.stdout.buffer.write(f"{printable(line)}\n".encode())


def show_json(document: Any) -> None:
    """Print a JSON document on one line; bytes of file names that are not UTF-8 appear as \\xNN. Raises as `show`."""
    with _checked_stdout():
        sys.stdout.buffer.write(f"{json_line(document)}\n".encode())


def flush() -> None:
    """Write out everything that is still buffered; raises as `show`."""
    with _checked_stdout():
        sys.stdout.flush()


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Print the accuracy of each split with its interval and n, then precision and recall of each class.

    Args:
        metrics: The content of metrics.json.
    """
    from dogvscat.judging.decision import is_at_chance  # NumPy, which most commands import later or not at all

    for split, result in metrics.items():
        figures = result["figures"]
        if split == NEITHER:  # photos that show neither class have no accuracy: `unsure` is the correct answer
            unsure_rate = figures["unsure_rate"]
            show(f"{split:<10} answered `unsure`: {_with_interval(unsure_rate)}, n = {unsure_rate['n']:,}")
            continue
        accuracy = figures["accuracy"]
        show(f"{split:<10} accuracy {_with_interval(accuracy)}, n = {result['n']:,}")
        majority_share = figures["majority_baseline"]["value"]
        if majority_share == 1:
            show("           all of these photos are of one class: nothing is known about the other")
        elif is_at_chance(accuracy["low"], majority_share):
            is_better = accuracy["value"] > majority_share
            verdict = "too few photos to tell this accuracy from" if is_better else "no better than"
            show(f"           {verdict} guessing: the majority class is {majority_share:.2%} of these photos")
        for name in result["class_names"]:
            precision = _percent_or_undefined(figures[f"precision_{name}"]["value"])
            recall = _percent_or_undefined(figures[f"recall_{name}"]["value"])
            show(f"           {name}: precision {precision}, recall {recall}")


@contextmanager
def _checked_stdout() -> Iterator[None]:
    """Turn a full disk behind stdout into a WriteError; a closed pipe stays a BrokenPipeError."""
    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python flushes again at exit and prints a traceback
        if isinstance(error, BrokenPipeError):
            raise
        hint = "Free some space and run the same command again."
        raise WriteError(f"could not write the results to stdout: {error.strerror}", hint=hint) from None


def _with_interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.2%} (95%: {figure['low']:.2%} to {figure['high']:.2%})"


def _percent_or_undefined(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2%}"
