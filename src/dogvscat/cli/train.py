"""`dogvscat train`: from photos to a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.extras import need_train_extra
from dogvscat.cli.output import report, show, show_json
from dogvscat.cli.results import show_figures
from dogvscat.errors import UsageError

_EPILOG_RUN = "Look at {run}/report.html, then try: dogvscat predict PHOTO --model {run}"


def command(
    photos: Annotated[
        Path | None,
        typer.Argument(
            help="A folder or zip with one folder a class. None: DOGVSCAT_DATA, a fetched archive, a fetch."
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="Name of a shipped recipe, or a TOML file.")] = "classic",
    config: Annotated[Path | None, typer.Option(help="Settings on top of the recipe, as a TOML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, such as training.learning_rate=0.001; repeatable.")
    ] = None,
    test: Annotated[float, typer.Option(help="Share of the photos put aside for `evaluate`.", min=0, max=0.8)] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Short for --set training.seed=N.", min=0)] = None,
    relabel: Annotated[
        Path | None,
        typer.Option(
            help="Correct training photos as this table says, see `audit --labels`. Validation and test photos keep "
            "their labels, so that results stay comparable."
        ),
    ] = None,
    neither: Annotated[
        Path | None,
        typer.Option(
            help="A folder or zip of photos that show neither class, to learn to notice them. Some are kept to measure."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: runs/<recipe>-<n>.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder; needs nothing else.")] = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting with its value and meaning, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON document.")] = False,
) -> None:
    """Train a network from scratch, judge it, and write a report and a bundle.

    Ctrl-C stops after the step under way and loses nothing; --resume goes on to exactly the same result.
    """
    overrides = [*(settings or []), *([f"data.test_share={test}"] if test else [])]
    overrides += [f"training.seed={seed}"] if seed is not None else []
    if show_settings:
        from dogvscat.settings import resolve_config, to_toml

        for line in to_toml(resolve_config(recipe, config, overrides), explained=True).splitlines():
            show(line)
        return
    if resume is not None:
        if photos or config or out or relabel or neither:
            message = (
                "--resume needs nothing else: photos, --config, --relabel, --neither and --out are those of the run"
            )
            raise UsageError(message)
        run = _resumed(resume, overrides)
    else:
        run = _trained(photos, recipe, config, overrides, out, relabel, neither)
    _show_result(run, as_json)


def _trained(
    photos: Path | None,
    recipe: str,
    config: Path | None,
    overrides: list[str],
    out: Path | None,
    relabel: Path | None,
    neither: Path | None,
) -> Path:
    from dogvscat.learning.inactive_settings import why_inactive
    from dogvscat.photos.default_photos import find_photos
    from dogvscat.settings import resolve_config

    resolved = resolve_config(recipe, config, overrides)
    for setting in overrides:
        if why := why_inactive(resolved, setting.partition("=")[0].strip()):
            report(why)
    need_train_extra()
    from dogvscat.learning.run.create import refuse_existing
    from dogvscat.learning.train import train

    refuse_existing(out)
    return train(find_photos(photos, report), resolved, out, report, relabel, neither).folder


def _resumed(folder: Path, overrides: list[str]) -> Path:
    need_train_extra()
    from dogvscat.learning.train import resume

    return resume(folder, overrides, report).folder


def _show_result(run: Path, as_json: bool) -> None:
    import json

    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    if as_json:
        show_json({"run": str(run), "metrics": metrics})
        return
    show_figures(metrics)
    report(_EPILOG_RUN.format(run=run))
