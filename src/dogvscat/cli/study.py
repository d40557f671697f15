"""`dogvscat study`: what does each technique do? One change at a time, with several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.builtin import needed, show_file
from dogvscat.cli.options import AsJson, Cluster, OptionalLabelledPhotos, Settings
from dogvscat.cli.output import report, show, show_json
from dogvscat.durations import seconds_of

if TYPE_CHECKING:
    from dogvscat.exploring.study.cells import Study


def command(
    photos: OptionalLabelledPhotos = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for study.csv, study.html and the runs. The same command with the same folder resumes.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recipe to study: fast or classic, for which a study is bundled. With --config, any recipe.",
            show_default="the recipe of --config, or classic",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A study of your own, as a TOML file; start from --show.")
    ] = None,
    settings: Settings = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Stop after this time, for example 90m or 2h. It is spent where the effects are least certain.",
        ),
    ] = None,
    cluster: Cluster = None,
    show_plan: Annotated[
        bool, typer.Option("--show", help="Print the bundled study as TOML, to start your own from, and exit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what each technique does: change one setting at a time and train with several seeds."""
    from dogvscat.cli.extras import need_cluster_extra, need_train_extra

    need_train_extra()
    if cluster is not None:
        need_cluster_extra()
    from dogvscat import atomic
    from dogvscat.errors import ConfigError, DogvscatError, UsageError
    from dogvscat.exploring.execution import open_executor
    from dogvscat.exploring.study.cells import read_study
    from dogvscat.exploring.study.page import write_study
    from dogvscat.exploring.study.plan import load_plan, plan_cells, say_untried, shipped_study
    from dogvscat.exploring.study.run import run_study, without_too_large

    if show_plan:
        show_file(shipped_study(recipe))
        return
    photos, out = needed(photos, out)
    if cluster is not None:  # machines of a cluster have other working directories
        photos, out = photos.absolute(), out.absolute()
    seconds = None if budget is None else seconds_of(budget, "--budget")
    plan = load_plan(config, recipe, settings or [])
    try:
        planned = plan_cells(plan)
    except ConfigError as error:
        where = f"{config}: " if config else ""  # what ships is sound: then a --set was wrong
        raise ConfigError(where + error.message, hint=error.hint) from None
    atomic.refuse_unwritable(out)
    say_untried(plan, planned, report)
    planned = without_too_large(planned, photos, report)
    with open_executor(cluster, report) as executor:
        try:
            study = run_study(photos, planned, out, seconds, report, executor)
        except (DogvscatError, KeyboardInterrupt) as stop:
            page = None if isinstance(stop, UsageError) else write_study(out, read_study(planned, out))
            if page:
                report(f"What is finished so far: {page}")
            raise
    page = write_study(out, study)
    _show_study(out, study, as_json)
    if page:
        report(f"Look at {page}")


def _show_study(out: Path, study: "Study", as_json: bool) -> None:
    from dataclasses import asdict

    from dogvscat.exploring.study.cells import CELLS_FOLDER
    from dogvscat.exploring.study.page import in_sentences
    from dogvscat.exploring.training_job import note_of

    effects = study.effects()
    note = note_of(out / CELLS_FOLDER / study.finished[0].cell.name) if study.finished else None
    if as_json:
        diverged = [
            {"setting": treatment.setting, "value": treatment.value, "seed": done.cell.seed, "reason": done.reason}
            for done in study.diverged
            for treatment in [done.cell.treatment]
        ]
        found = [asdict(effect) | {"verdict": effect.verdict} for effect in effects]
        show_json({"note": note, "effects": found, "diverged": diverged})
    else:
        if note:
            report(f"note: {note}")
        for verdict, sentences in in_sentences(effects, study.diverged).items():
            show(f"{verdict}:")
            for sentence in sentences:
                show(f"  {sentence}")
