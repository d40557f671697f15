"""`dogvscat study`: what does each technique do? One change at a time, with several seeds."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.durations import seconds_of
from dogvscat.cli.options import Cluster
from dogvscat.cli.shipped import needed, show_file
from dogvscat.cli.speaking import say, show, show_json


def command(
    photos: Annotated[Path | None, typer.Argument(help="A folder or zip with one folder a class.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for study.csv, study.html and the cells; given again, it goes on.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe to study. Without --config: the study that ships for it.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A study as a TOML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting of the base, such as training.threads=1; repeatable.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time to spend now, such as 90m or 2h; spent where least is known.")
    ] = None,
    cluster: Cluster = None,
    show_plan: Annotated[
        bool, typer.Option("--show", help="Print the study that ships, to write one's own from, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the effects as one JSON document.")] = False,
) -> None:
    """Switch techniques on and off one at a time, and say with intervals what each did."""
    from dogvscat.cli.extras import need_cluster_extra, need_train_extra

    need_train_extra()
    if cluster is not None:
        need_cluster_extra()
    from dataclasses import asdict

    from dogvscat import writing
    from dogvscat.errors import Interrupted
    from dogvscat.exploring.cell import note_of
    from dogvscat.exploring.executor import open_executor
    from dogvscat.exploring.study import CELLS_FOLDER, read_study, run_study
    from dogvscat.exploring.study_page import in_sentences, write_study
    from dogvscat.exploring.study_plan import load_plan, plan_cells, shipped_study

    if show_plan:
        show_file(shipped_study(recipe))
        return
    photos, out = needed(photos, out)
    if cluster is not None:  # machines of a cluster have other working directories
        photos, out = photos.absolute(), out.absolute()
    seconds = None if budget is None else seconds_of(budget, "--budget")
    planned = plan_cells(load_plan(config, recipe, settings or []))
    writing.refuse_unwritable(out)
    with open_executor(cluster, say) as executor:
        try:
            study = run_study(photos, planned, out, seconds, say, executor)
        except (Interrupted, KeyboardInterrupt):
            write_study(out, read_study(planned, out))  # what is finished can be looked at meanwhile
            raise
    write_study(out, study)
    effects = study.effects()
    note = note_of(out / CELLS_FOLDER / study.finished[0].cell.name) if study.finished else None
    if as_json:
        show_json({"note": note, "effects": [asdict(effect) | {"verdict": effect.verdict} for effect in effects]})
    else:
        if note:
            say(f"note: {note}")
        for verdict, sentences in in_sentences(effects).items():
            show(f"{verdict}:")
            for sentence in sentences:
                show(f"  {sentence}")
    if effects:
        say(f"Look at {out}/study.html")
