"""Damaged run folders: each file of a run, damaged in every way that a disk, a copy or a person may do it."""

import csv
import io
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HUGE = 10**18
_WRONG_JSON: tuple[Any, ...] = (None, "", "text", True, -5, HUGE, 1e308, float("nan"), [], {}, [[]], {"a": 1})
_WRONG_CELLS = ("", "nan", "inf", "-1", "1e308", str(HUGE), "text", "\0", "=1+1", "x" * 100_000)
_WRONG_SETTINGS = ("-5", str(HUGE), "nan", "inf", '"text"', "[]", "true", "1e308")


@dataclass(frozen=True)
class Damage:
    """One way to damage one file of a run folder."""

    file: str
    """Its path, relative to the run folder."""
    kind: str
    """Such as `empty` or `threads = -5`."""
    apply: Callable[[Path], object]
    """Damages this file, given the path of the file."""

    def __str__(self) -> str:
        return f"{self.file}: {self.kind}"[:120]


def damages(run: Path, other: Path) -> list[Damage]:
    """Every damage that is known here.

    Args:
        run: A finished run folder, which is only read.
        other: Another finished run, with other settings; its files take the place of those of the run.
    """
    files = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    files = [name for name in files if not name.endswith((".lock", ".partial"))]
    every = [damage for name in files for damage in _of_any_file(name, other / name)]
    for name in ("environment.json", "metrics.json", "bundle/card.json"):
        every += _of_json(name, json.loads((run / name).read_text()))
    for name in ("history.csv", "predictions.csv", "manifest.csv"):
        with (run / name).open(newline="") as table:
            every += _of_table(name, next(csv.reader(table)))
    every += _of_settings((run / "config.toml").read_text())
    every += _of_checkpoint("checkpoint/state.npz", run)
    return every


def _of_any_file(name: str, other: Path) -> Iterator[Damage]:
    def cut(path: Path, share: float) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    def overwrite(path: Path, noise: bool, start: float, length: float) -> None:
        data = bytearray(path.read_bytes())
        first, count = int(len(data) * start), max(1, int(len(data) * length))
        data[first : first + count] = random.Random(0).randbytes(count) if noise else bytes(count)
        path.write_bytes(data)

    def replace_by_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    yield Damage(name, "missing", Path.unlink)
    yield Damage(name, "empty", lambda path: path.write_bytes(b""))
    yield Damage(name, "half of it", partial(cut, share=0.5))
    yield Damage(name, "all but the end", partial(cut, share=0.97))
    yield Damage(name, "random bytes", partial(overwrite, noise=True, start=0, length=1))
    yield Damage(name, "random bytes in the middle", partial(overwrite, noise=True, start=0.5, length=0.02))
    yield Damage(name, "zeros", partial(overwrite, noise=False, start=0, length=1))
    yield Damage(name, "zeros in the second half", partial(overwrite, noise=False, start=0.5, length=0.5))
    yield Damage(name, "a folder in its place", replace_by_folder)
    if other.is_file():
        yield Damage(name, "that of another run", partial(shutil.copyfile, other))


def _of_json(name: str, document: dict[str, Any]) -> Iterator[Damage]:
    """Each entry missing or with values of wrong types, at two levels."""

    def change(path: Path, keys: tuple[str, ...], value: Any) -> None:
        changed = json.loads(path.read_text())
        parent = changed
        for key in keys[:-1]:
            parent = parent[key]
        parent[keys[-1]] = value
        path.write_text(json.dumps(changed))

    def remove(path: Path, keys: tuple[str, ...]) -> None:
        changed = json.loads(path.read_text())
        parent = changed
        for key in keys[:-1]:
            parent = parent[key]
        del parent[keys[-1]]
        path.write_text(json.dumps(changed))

    for keys in _keys(document, depth=4):
        title = ".".join(keys)
        yield Damage(name, f"{title} missing", partial(remove, keys=keys))
        for value in _WRONG_JSON:
            yield Damage(name, f"{title} = {value!r}", partial(change, keys=keys, value=value))
    yield Damage(name, "nested a million times", lambda path: path.write_text("[" * 1_000_000))
    yield Damage(name, "a list", lambda path: path.write_text("[1, 2]"))
    yield Damage(name, "a number of 10,000 digits", lambda path: path.write_text("1" * 10_000))


def _keys(document: dict[str, Any], depth: int) -> Iterator[tuple[str, ...]]:
    for key, value in document.items():
        yield (key,)
        if isinstance(value, dict) and depth > 1 and key not in ("versions", "files", "train"):
            # Of many entries of one kind, the first two stand for all.
            first = dict(list(value.items())[:2]) if len(value) > 6 else value
            yield from ((key, *keys) for keys in _keys(first, depth - 1))


def _of_table(name: str, header: list[str]) -> Iterator[Damage]:
    """A cell of each column with wrong values, and rows that are missing, doubled or too long."""

    def change(path: Path, edit: Callable[[list[list[str]]], object]) -> None:
        rows = list(csv.reader(io.StringIO(path.read_text(), newline="")))
        edit(rows)
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        path.write_text(text.getvalue())

    def set_cell(rows: list[list[str]], column: int, value: str) -> None:
        rows[1][column] = value

    for column, title in enumerate(header):
        for value in _WRONG_CELLS:
            edit = partial(set_cell, column=column, value=value)
            yield Damage(name, f"{title} = {value[:20]!r}", partial(change, edit=edit))
    edits: dict[str, Callable[[list[list[str]]], object]] = {
        "no header": lambda rows: rows.pop(0),
        "only the header": lambda rows: rows.__delitem__(slice(1, None)),
        "a row twice": lambda rows: rows.append(rows[1]),
        "a row too short": lambda rows: rows[1].pop(),
        "a row too long": lambda rows: rows[1].append("1"),
        "a column without a name": lambda rows: rows[0].__setitem__(0, ""),
    }
    for title, edit_rows in edits.items():
        yield Damage(name, title, partial(change, edit=edit_rows))


def _of_settings(text: str) -> Iterator[Damage]:
    """Each setting that has a number with impossible ones."""

    def change(path: Path, line: str, value: str) -> None:
        key = line.partition("=")[0]
        path.write_text(path.read_text().replace(line, f"{key}= {value}"))

    for line in re.findall(r"^\w+ = [-\d.e]+$", text, re.MULTILINE):
        for value in _WRONG_SETTINGS:
            kind = f"{line.partition(' ')[0]} = {value}"
            yield Damage("config.toml", kind, partial(change, line=line, value=value))


def _change_arrays(path: Path, edit: Callable[[Any, Any], object], compress: bool = False) -> None:
    """Edit the arrays and the state of a checkpoint."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    state = json.loads(arrays["state"].tobytes())
    edit(arrays, state)
    if "state" in arrays:
        arrays["state"] = np.frombuffer(json.dumps(state).encode(), dtype=np.uint8)
    (np.savez_compressed if compress else np.savez)(path, **arrays)


def _set_entry(arrays: Any, state: Any, key: str, value: Any) -> None:
    state[key] = value


def _pop_entry(arrays: Any, state: Any, key: str) -> None:
    del state[key]


def _drop(arrays: Any, state: Any, start: str) -> None:
    for key in [key for key in arrays if key.startswith(start)]:
        del arrays[key]


def _map_first(arrays: Any, state: Any, start: str, function: Callable[[Any], Any]) -> None:
    key = next(key for key in arrays if key.startswith(start) and arrays[key].ndim > 0)
    arrays[key] = function(arrays[key])


def _of_checkpoint(name: str, run: Path) -> Iterator[Damage]:
    """The state with impossible entries, and arrays that are missing, or of other shapes, types or values."""
    with np.load(run / name) as file:
        state = json.loads(file["state"].tobytes())
    edits: dict[str, Callable[[Any, Any], object]] = {}
    for key in state:
        edits |= {f"{key} = {value!r}": partial(_set_entry, key=key, value=value) for value in _WRONG_JSON}
        edits[f"{key} missing"] = partial(_pop_entry, key=key)
    functions: dict[str, Callable[[Any], Any]] = {
        "with another shape": lambda array: array[:-1],
        "of no number": lambda array: np.full(array.shape, "text"),
        "of NaN": lambda array: np.full(array.shape, np.nan, array.dtype),
        "of infinities": lambda array: np.full(array.shape, np.inf, array.dtype),
        "of objects": lambda array: np.array([{}], dtype=object),
        "empty": lambda array: array[:0],
        "of whole numbers": lambda array: np.zeros(array.shape, np.int64),
    }
    for start in ("variables/", "best/"):
        edits[f"no {start}"] = partial(_drop, start=start)
        edits[f"{start}0000 missing"] = partial(_drop, start=f"{start}0000")
        for title, function in functions.items():
            edits[f"{start} {title}"] = partial(_map_first, start=start, function=function)
    edits["no state"] = partial(_drop, start="state")
    for kind, edit in edits.items():
        yield Damage(name, kind, partial(_change_arrays, edit=edit))
    yield Damage(name, "compressed", partial(_change_arrays, edit=lambda arrays, state: None, compress=True))
