"""study.csv: one row per finished training. Rows of an earlier call are never dropped silently."""

import csv
from collections.abc import Sequence
from pathlib import Path

from dogvscat import atomic
from dogvscat.errors import ModelError, UsageError
from dogvscat.exploring.study.cells import Study
from dogvscat.exploring.study.plan import BASE, PlannedCell
from dogvscat.learning.run import Run
from dogvscat.settings.keys import differences
from dogvscat.settings.toml import toml_value
from dogvscat.text import pluralize, unescape_cell

STUDY_FILE = "study.csv"
COLUMNS = ("setting", "value", "seed", "validation_accuracy", "training_accuracy", "seconds", "epochs", "cell")

_Key = tuple[str, str, int]
"""Setting, value and seed of a row."""


def write_table(file: Path, study: Study) -> None:
    """Write study.csv, in the order of the plan."""
    rows = (
        (
            cell.plan.treatment.setting,
            cell.plan.treatment.value,
            cell.plan.seed,
            cell.result.validation_accuracy,
            cell.result.training_accuracy,
            cell.result.seconds,
            cell.result.epochs,
            cell.plan.name,
        )
        for cell in study.finished
    )
    atomic.write_csv(file, COLUMNS, rows)


def refuse_dropped_rows(planned: Sequence[PlannedCell], table: Path, cells: Path) -> None:
    """Make sure that every row of a table is a cell of the plan.

    A study may grow: more settings, values and seeds only add rows. A study with another base or with fewer settings
    would remove rows, and rows of two bases in one table could not be told apart. Such a study needs its own folder,
    unless a person moves the table away.

    Args:
        planned: The cells of the study now.
        table: study.csv; it need not exist.
        cells: Folder of the cells that the table names.

    Raises:
        UsageError: saying what differs.
        ModelError: if the table is damaged.
    """
    # A name is the digest of all settings, so a row whose name is planned is the same training.
    names = {cell.name for cell in planned}
    dropped = [(key, name) for key, name in _read_rows(table) if name not in names]
    if not dropped:
        return
    (setting, value, seed), name = dropped[0]  # the first is enough to explain it
    title = "the base" if setting == BASE else f"{setting} = {value}"
    same_keys = [cell for cell in planned if (cell.treatment.setting, cell.treatment.value, cell.seed) == dropped[0][0]]
    if same_keys:  # the treatment is still planned, but the base below it has changed
        difference = f"for {title}, {_changed_settings(cells / name, same_keys[0])}"
    else:
        difference = f"{title} with seed {seed} is no longer part of the study"
    message = f"{table} has {pluralize(len(dropped), 'finished training')} that this study does not have: {difference}"
    hint = f"Choose another --out; or move {table} away: the finished trainings that fit are still used."
    raise UsageError(message, hint=hint)


def _changed_settings(folder: Path, cell: PlannedCell) -> str:
    """How the settings of a finished cell differ from the plan's: `training.epochs was 20 and is now 30`."""
    try:
        config = Run(folder).load_config()
    except ModelError:
        return "the settings have changed"
    changes = [
        f"{key} was {toml_value(old)} and is now {toml_value(new)}"
        for key, old, new in differences(config, cell.config)
    ]
    if not changes and config.recipe == cell.config.recipe:
        return "the settings were written by an earlier version of dogvscat, which had fewer settings"
    return ", ".join(changes) or "the recipe had another name"


def _read_rows(table: Path) -> list[tuple[_Key, str]]:
    """The key of each row, and its cell."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return [
                ((unescape_cell(row["setting"]), unescape_cell(row["value"]), int(row["seed"])), row["cell"])
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        hint = "Delete it: it is written again from the finished trainings."
        raise ModelError(f"{table} is damaged: {error}", hint=hint) from None
