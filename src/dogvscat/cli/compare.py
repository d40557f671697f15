"""`dogvscat compare`: which of some finished runs is better?"""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.options import AsJson, ClassFolders, parse_class_folders
from dogvscat.cli.output import report, show, show_json


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUNS",
            help="Two or more run folders. Runs that differ only in their seeds are compared as one group. If all "
            "runs differ only in their seeds, each run is a group of its own.",
        ),
    ],
    split: Annotated[
        str, typer.Option(metavar="validation|train", help="The runs are compared on the photos of this split.")
    ] = "validation",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write comparison.html, its figures and its numbers here.")
    ] = None,
    class_names: ClassFolders = None,
    as_json: AsJson = False,
) -> None:
    """Compare finished runs with the first one, photo by photo: how large and how certain is the difference?"""
    from dogvscat import atomic
    from dogvscat.api.extras import need_train_extra
    from dogvscat.exploring.comparison.compare import compare_runs

    class_folders = parse_class_folders(class_names)
    if out is not None:  # before the bootstrap, which takes seconds
        need_train_extra()  # the page has figures
        atomic.refuse_unwritable(out)
    comparison = compare_runs(runs, split, class_folders)
    document = comparison.to_dict()
    if as_json:
        show_json(document)
    else:
        if comparison.note:
            report(f"note: {comparison.note}")
        for arm in comparison.arms:
            show(f"{arm.name}: {', '.join(f'{accuracy:.2%}' for accuracy in arm.accuracies)}")
        for difference in document["differences"]:
            show(difference["sentence"])
        if comparison.caveat:
            report(comparison.caveat)
    if out is not None:
        from dogvscat.exploring.comparison.page import write_comparison

        write_comparison(out, comparison)
        report(f"Look at {out}/comparison.html")
