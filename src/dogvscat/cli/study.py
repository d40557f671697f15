"""`dogvscat study`: what does each technique do? One change at a time, with several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.builtin import parse_duration, require_photos_and_out, show_file
from dogvscat.cli.options import DEFAULT_RECIPE, AsJson, Cluster, OptionalLabeledPhotos, Settings
from dogvscat.cli.output import report, show, show_json

if TYPE_CHECKING:
    from dogvscat.exploring.study.cells import Study


def command(
    photos: OptionalLabeledPhotos = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for study.csv, study.html and the runs. After a stop, the same command resumes.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recipe to study: fast or classic, for which a study is bundled. With --config, any recipe.",
            show_default=f"the recipe of --config, or {DEFAULT_RECIPE}",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file with a study of your own; --show prints one to start from."),
    ] = None,
    settings: Settings = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Stop after this time, for example 90m or 2h. Trainings for the least certain effects come first.",
        ),
    ] = None,
    cluster: Cluster = None,
    show_plan: Annotated[
        bool, typer.Option("--show", help="Print the bundled study as TOML, a starting point for your own, and exit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what each technique does: change one setting at a time and train with several seeds."""
    from dogvscat.api.extras import need_cluster_extra, need_train_extra

    need_train_extra()
    if cluster is not None:
        need_cluster_extra()
    from dogvscat import atomic
    from dogvscat.errors import ConfigError, DogvscatError, UsageError
    from dogvscat.exploring.execution import open_executor
    from dogvscat.exploring.study.cells import read_study
    from dogvscat.exploring.study.page import write_study
    from dogvscat.exploring.study.plan import builtin_study, load_plan, plan_cells, report_untried
    from dogvscat.exploring.study.run import run_study, without_oversized

    if show_plan:
        show_file(builtin_study(recipe))
        return
    photos, out = require_photos_and_out(photos, out, cluster)
    seconds = None if budget is None else parse_duration(budget, "--budget")
    plan = load_plan(config, recipe, settings or [])
    try:
        planned = plan_cells(plan)
    except ConfigError as error:
        # Without --config a --set was wrong: the bundled study is correct, so its file need not be named.
        file = f"{config}: " if config else ""
        raise ConfigError(file + error.message, hint=error.hint) from None
    atomic.refuse_unwritable(out)
    report_untried(plan, planned, report)
    planned = without_oversized(planned, photos, report)
    with open_executor(cluster, report) as executor:
        try:
            study = run_study(photos, planned, out, seconds, report, executor)
        except (DogvscatError, KeyboardInterrupt) as stop:
            # A UsageError comes before any training, so there is nothing new to show.
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
    from dogvscat.exploring.study.page import effects_in_sentences
    from dogvscat.exploring.training_job import read_note

    effects = study.effects()
    note = read_note(out / CELLS_FOLDER / study.finished[0].plan.name) if study.finished else None
    if as_json:
        diverged = [
            {"setting": treatment.setting, "value": treatment.value, "seed": cell.plan.seed, "reason": cell.reason}
            for cell in study.diverged
            for treatment in [cell.plan.treatment]
        ]
        rows = [asdict(effect) | {"verdict": effect.verdict} for effect in effects]
        for row in rows:
            row["gap"] = row.pop("generalization_gap")  # programs know it by the shorter key
        show_json({"note": note, "effects": rows, "diverged": diverged})
    else:
        if note:
            report(f"note: {note}")
        for verdict, sentences in effects_in_sentences(effects, study.diverged).items():
            show(f"{verdict}:")
            for sentence in sentences:
                show(f"  {sentence}")
