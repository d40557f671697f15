"""`dogvscat compare`: which of some finished runs is better?"""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.output import say, show, show_json


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders; those that differ in their seeds alone are taken together, if there are others as well."
        ),
    ],
    split: Annotated[str, typer.Option(help="Whose pictures judge: validation or train.")] = "validation",
    out: Annotated[Path | None, typer.Option(help="Folder for comparison.html, its pictures and its figures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON document.")] = False,
) -> None:
    """Compare finished runs with the first one, picture by picture: by how much, how surely, and where."""
    from dogvscat.cli.extras import need_train_extra

    need_train_extra()
    from dogvscat import atomic
    from dogvscat.exploring.comparison.compare import compare_runs
    from dogvscat.exploring.comparison.page import to_dict, write_comparison

    if out is not None:
        atomic.refuse_unwritable(out)
    comparison = compare_runs(runs, split)
    document = to_dict(comparison)
    if as_json:
        show_json(document)
    else:
        if comparison.note:
            say(f"note: {comparison.note}")
        for side in document["sides"]:
            show(f"{side['name']}: {', '.join(f'{accuracy:.2%}' for accuracy in side['accuracies'])}")
        for difference in document["differences"]:
            show(difference["sentence"])
        if comparison.caveat:
            say(comparison.caveat)
    if out is not None:
        write_comparison(out, comparison)
        say(f"Look at {out}/comparison.html")
