"""`dogvscat runs`: what was trained, one row per run folder."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.options import AsJsonLines
from dogvscat.cli.output import report, show, show_json
from dogvscat.errors import DataError


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that holds the run folders.")] = Path(
        "runs"
    ),
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column to sort by. A minus sign puts the largest value first: --sort=-validation_accuracy.",
        ),
    ] = "folder",
    as_json: AsJsonLines = False,
) -> int:
    """List the trainings in a folder, finished or not."""
    from dogvscat.exploring.run_list import find_runs, sort_runs
    from dogvscat.photos.reading.sources import SYNTHETIC_NOTE

    runs, damaged = find_runs(folder)
    rows = sort_runs(runs, sort.removeprefix("-"), descending=sort.startswith("-"))
    if not rows and not damaged:
        raise DataError(f"there is no run in {folder}", hint="`dogvscat train PHOTOS` creates one.")
    if not as_json:
        width = max(len(name) for name in [*(row.folder for row in rows), *(run.folder for run in damaged)])
        accuracy_headers = f"{'validation':>10} {'n':>6}  {'training':>8}"
        show(f"{'run':<{width}}  {'recipe':<10} {'seed':>4}  {'epochs':>6}  {'minutes':>7}  {accuracy_headers}")
        for row in rows:
            validation, training = map(_percent_or_dash, (row.validation_accuracy, row.training_accuracy))
            columns = f"{row.recipe:<10} {row.seed:>4}  {row.epochs:>6}  {row.minutes:>7.1f}"
            marks = "" if row.finished else "  not finished"
            if row.at_chance:
                marks += f"  no better than guessing (n = {row.num_validation:,}, "
                marks += f"95%: {row.validation_low:.1%} to {row.validation_high:.1%})"
            marks += f"  {SYNTHETIC_NOTE}" if row.drawn_sample else ""
            n = "-" if row.num_validation is None else f"{row.num_validation:,}"
            show(f"{row.folder:<{width}}  {columns}  {validation:>10} {n:>6}  {training:>8}{marks}")
        for run in damaged:
            show(f"{run.folder:<{width}}  damaged")
    if as_json:
        for document in [*(row.to_dict() for row in rows), *(run.to_dict() for run in damaged)]:
            show_json(document)
    for run in damaged:
        report(f"error: {run.error.message}")
    return DataError.exit_code if damaged else 0


def _percent_or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
