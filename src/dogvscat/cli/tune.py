"""`dogvscat tune`: search for better settings."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.builtin import needed, show_file
from dogvscat.cli.options import Cluster
from dogvscat.cli.output import say, show, show_json
from dogvscat.durations import seconds_of
from dogvscat.errors import UsageError


def command(
    photos: Annotated[Path | None, typer.Argument(help="A folder or zip with one folder a class.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for trials, pictures and best.toml; given again, it goes on.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe to tune, by the space that ships for it or --config. Default: that of --config, or classic."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A search space as a TOML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting of the base, such as training.threads=1; repeatable.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Trials in all, those of earlier calls included.", min=1)] = 50,
    timeout: Annotated[str | None, typer.Option(help="Time to spend now, such as 90m or 2h.")] = None,
    sampler: Annotated[str, typer.Option(help="How trials are proposed: tpe or random.")] = "tpe",
    pruning: Annotated[bool, typer.Option(help="Cut trials short that fall behind.")] = True,
    seed: Annotated[int, typer.Option(help="Of the search and of every training.", min=0)] = 0,
    storage: Annotated[
        str | None, typer.Option(help="A database by URL, such as sqlite:///trials.db. Default: a file in --out.")
    ] = None,
    cluster: Cluster = None,
    show_space: Annotated[
        bool, typer.Option("--show", help="Print the space that ships, to write one's own from, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Search for better settings with Optuna; best.toml can be trained with `train --recipe`."""
    from dogvscat.cli.extras import need_cluster_extra, need_explore_extra

    need_explore_extra()
    if cluster is not None:
        need_cluster_extra()
    from dogvscat import atomic
    from dogvscat.exploring.execution import open_executor
    from dogvscat.exploring.search.results import CONFIRM_FILE, write_results
    from dogvscat.exploring.search.run import Limits, tune
    from dogvscat.exploring.search.search import SAMPLERS, Search, best_config, best_figure, best_settings
    from dogvscat.exploring.search.space import load_space, shipped_space
    from dogvscat.judging.intervals import as_percent
    from dogvscat.settings import nearest

    if show_space:
        show_file(shipped_space(recipe))
        return
    photos, out = needed(photos, out)
    if cluster is not None:  # machines of a cluster have other working directories
        photos, out = photos.absolute(), out.absolute()
    if sampler not in SAMPLERS:
        hint = nearest(sampler, SAMPLERS).strip() or None
        raise UsageError(f"there is no sampler {sampler!r}, expected {' or '.join(SAMPLERS)}", hint=hint)
    limits = Limits(trials, None if timeout is None else seconds_of(timeout, "--timeout"))
    atomic.refuse_unwritable(out)
    search = Search(load_space(config, recipe, settings or []), sampler, pruning, seed, storage)
    search.space.config({}, seed)  # an impossible base is told of before anything is written
    with open_executor(cluster, say) as executor:
        study = tune(photos, search, out, limits, say, executor)
    write_results(out, study, search)
    if best_config(study, search) is None:
        if len(study.trials) < trials:
            raise UsageError(
                "no trial was finished in that time", hint="Give more --timeout; the same command goes on."
            )
        hint = "Narrow the [space], or give more --trials."
        raise UsageError(f"all {trials} trials diverged, were impossible or were cut short", hint=hint)
    found, trial = best_figure(study), study.best_trial
    settings_found = best_settings(study, search)
    note = trial.user_attrs.get("note")
    if as_json:
        figures = {"validation_accuracy": found.value, "low": found.low, "high": found.high, "n": found.n, "note": note}
        show_json(figures | {"trial": trial.number, "settings": settings_found, "trials": len(study.trials)})
    else:
        if note:
            say(f"note: {note}")
        judged = f" on {found.n:,} validation pictures" if found.n else ""
        show(f"best: {as_percent(found)}{judged}, in trial {trial.number}")
        for key, value in settings_found.items():
            show(f"  {key} = {value}")
        say("That is the best of many on the pictures that chose it. Whether it is better at all, other seeds tell:")
        say(f"dogvscat study {photos} --config {out}/{CONFIRM_FILE} --out {out}/confirmed")
