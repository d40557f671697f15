"""`dogvscat study`: what does each technique do? One change at a time, with several seeds."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.durations import seconds_of
from dogvscat.cli.options import Cluster
from dogvscat.cli.speaking import say, show, show_json


def command(
    photos: Annotated[Path, typer.Argument(help="A folder or zip with one folder a class.")],
    out: Annotated[Path, typer.Option(help="Folder for study.csv, study.html and the cells; given again, it goes on.")],
    recipe: Annotated[
        str | None, typer.Option(help="Recipe to study. Without --config: the study that ships for it.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A study as a TOML file.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time to spend now, such as 90m or 2h; spent where least is known.")
    ] = None,
    cluster: Cluster = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the effects as one JSON document.")] = False,
) -> None:
    """Switch techniques on and off one at a time, and say with intervals what each did."""
    from dogvscat.cli.extras import need_cluster_extra, need_train_extra

    need_train_extra()
    if cluster is not None:
        need_cluster_extra()
        photos, out = photos.absolute(), out.absolute()  # machines of a cluster have other working directories
    from dataclasses import asdict

    from dogvscat import writing
    from dogvscat.exploring.executor import open_executor
    from dogvscat.exploring.study import run_study
    from dogvscat.exploring.study_page import in_sentences, write_study
    from dogvscat.exploring.study_plan import load_plan, plan_cells

    seconds = None if budget is None else seconds_of(budget, "--budget")
    planned = plan_cells(load_plan(config, recipe))
    writing.refuse_unwritable(out)
    with open_executor(cluster, say) as executor:
        study = run_study(photos, planned, out, seconds, say, executor)
    write_study(out, study)
    effects = study.effects()
    if as_json:
        show_json({"effects": [asdict(effect) | {"verdict": effect.verdict} for effect in effects]})
    else:
        for verdict, sentences in in_sentences(effects).items():
            show(f"{verdict}:")
            for sentence in sentences:
                show(f"  {sentence}")
    if effects:
        say(f"Look at {out}/study.html")
