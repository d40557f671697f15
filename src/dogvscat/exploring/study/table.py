"""study.csv of an earlier call: its rows are never dropped silently."""

import csv
from collections.abc import Sequence
from pathlib import Path

from dogvscat.errors import ModelError, UsageError
from dogvscat.exploring.study.plan import BASE, PlannedCell
from dogvscat.learning.run.folder import Run
from dogvscat.settings import differences, toml_value

_Key = tuple[str, str, int]


def refuse_dropped_rows(planned: Sequence[PlannedCell], table: Path, cells: Path) -> None:
    """Make sure that every row of a table is a cell of the plan.

    A study may grow: more settings, values and seeds only add rows. But one with another base, or with fewer settings,
    would take rows away, and rows of two bases in one table could not be told apart; so it needs a folder of its own,
    or somebody who says that the table may go.

    Args:
        planned: What is to be studied now.
        table: study.csv; it need not exist.
        cells: Folder of the cells that the table names.

    Raises:
        UsageError: saying what differs.
        ModelError: if the table is damaged.
    """
    names = {cell.name for cell in planned}
    dropped = [(key, name) for key, name in _rows(table) if name not in names]
    if not dropped:
        return
    wanted = {(cell.treatment.setting, cell.treatment.value, cell.seed): cell for cell in planned}
    (setting, value, seed), name = dropped[0]
    what = "the base" if setting == BASE else f"{setting} = {value}"
    now = wanted.get((setting, value, seed))
    differs = (
        f"{what} with seed {seed} is no longer in it" if now is None else f"{what} has {_changes(cells / name, now)}"
    )
    message = f"{table} has {len(dropped)} finished cells that are not in this study: {differs}"
    hint = f"Choose another --out; or move {table} away, and what fits of the finished cells is still used."
    raise UsageError(message, hint=hint)


def _changes(folder: Path, now: PlannedCell) -> str:
    """What became of the settings of a cell, for example `training.epochs = 30 and not 20`."""
    try:
        config = Run(folder).load_config()
    except ModelError:
        return "other settings than before"
    changed = differences(config, now.config)
    said = [f"{key} = {toml_value(new)} and not {toml_value(old)}" for key, old, new in changed]
    if not said and config.recipe == now.config.recipe:
        return "the same settings as an earlier version of dogvscat wrote them, which knew fewer"
    return ", ".join(said) or "another recipe's name"


def _rows(table: Path) -> list[tuple[_Key, str]]:
    """Setting, value and seed of each row, and its cell."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return [((row["setting"], row["value"], int(row["seed"])), row["cell"]) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        hint = "Delete it: it is written anew from the finished cells."
        raise ModelError(f"{table} is damaged: {error}", hint=hint) from None
