"""`dogvscat tune`: search for better settings."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.builtin import parse_duration, require_photos_and_out, show_file
from dogvscat.cli.options import DEFAULT_RECIPE, AsJson, Cluster, OptionalLabeledPhotos, Settings
from dogvscat.cli.output import report, show, show_json
from dogvscat.errors import UsageError
from dogvscat.text import shell_word


def command(
    photos: OptionalLabeledPhotos = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the trials, figures and best.toml. After a stop, the same command resumes.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recipe to tune: fast or classic, for which a search space is bundled. With --config, any recipe.",
            show_default=f"the recipe of --config, or {DEFAULT_RECIPE}",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML file with a search space of your own; --show prints one to start from."
        ),
    ] = None,
    settings: Settings = None,
    trials: Annotated[int, typer.Option(help="Total number of trials, including those of earlier calls.", min=1)] = 50,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this time, for example 90m or 2h.")
    ] = None,
    sampler: Annotated[
        str, typer.Option(metavar="tpe|random", help="How settings are proposed: Optuna's TPE sampler, or at random.")
    ] = "tpe",
    pruning: Annotated[bool, typer.Option(help="Stop a trial early if it falls behind the others.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the search and of every training.", min=0)] = 0,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database that keeps the trials, for example sqlite:///trials.db.",
            show_default="a file in --out",
        ),
    ] = None,
    cluster: Cluster = None,
    show_space: Annotated[
        bool,
        typer.Option("--show", help="Print the bundled search space as TOML, a starting point for your own, and exit."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Search for better settings with Optuna. The result, best.toml, is a recipe for `train --recipe`."""
    from dogvscat.api.extras import need_cluster_extra, need_explore_extra

    need_explore_extra()
    if cluster is not None:
        need_cluster_extra()
    from dogvscat import atomic
    from dogvscat.exploring.execution import open_executor
    from dogvscat.exploring.search.results import CONFIRM_FILE, write_results
    from dogvscat.exploring.search.run import Limits, tune
    from dogvscat.exploring.search.search import SAMPLERS, Search, best_accuracy, best_config, best_settings
    from dogvscat.exploring.search.space import builtin_space, load_space
    from dogvscat.judging.intervals import as_percent
    from dogvscat.settings.errors import suggest

    if show_space:
        show_file(builtin_space(recipe))
        return
    photos, out = require_photos_and_out(photos, out, cluster)
    if sampler not in SAMPLERS:
        hint = suggest(sampler, SAMPLERS).strip() or None
        raise UsageError(f"there is no sampler {sampler!r}, expected {' or '.join(SAMPLERS)}", hint=hint)
    limits = Limits(trials, None if timeout is None else parse_duration(timeout, "--timeout"))
    atomic.refuse_unwritable(out)
    search = Search(load_space(config, recipe, settings or []), sampler, pruning, seed, storage)
    search.space.config({}, seed)  # raises if the base is impossible, before anything is written
    with open_executor(cluster, report) as executor:
        study = tune(photos, search, out, limits, report, executor)
    write_results(out, study, search)  # also trials.csv of a search without a finished trial
    if best_config(study, search) is None:
        if len(study.trials) < trials:
            hint = "Give a longer --timeout; the same command resumes."
            raise UsageError(f"no trial was finished within --timeout {timeout}", hint=hint)
        hint = "Narrow the [space], or give more --trials."
        raise UsageError(f"all {trials} trials diverged, were impossible or were pruned", hint=hint)
    accuracy, trial = best_accuracy(study), study.best_trial
    values = best_settings(study, search)
    note = trial.user_attrs.get("note")
    if as_json:
        interval = {"low": accuracy.low, "high": accuracy.high, "n": accuracy.n}
        result = {"validation_accuracy": accuracy.value, **interval, "note": note}
        show_json(result | {"trial": trial.number, "settings": values, "trials": len(study.trials)})
    else:
        if note:
            report(f"note: {note}")
        photo_count = f" on {accuracy.n:,} validation photos" if accuracy.n else ""
        show(f"best: {as_percent(accuracy)}{photo_count}, in trial {trial.number}")
        for key, value in values.items():
            show(f"  {key} = {value}")
        confirmation = shell_word(out / CONFIRM_FILE)
        report("This is the best of many trials on these photos, so it is optimistic. To test it with other seeds:")
        report(f"dogvscat study {shell_word(photos)} --config {confirmation} --out {shell_word(out / 'confirmed')}")
