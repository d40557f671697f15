"""`dogvscat train`: from photos to a run folder."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dogvscat.cli.options import DEFAULT_RECIPE, AsJson, Config, Recipe, Settings
from dogvscat.cli.output import report, show, show_json, show_metrics
from dogvscat.errors import UsageError
from dogvscat.text import shell_word

_WATCH_PORT = 8001  # next to that of `serve`
_NEXT_STEP = "Look at {run_dir}/report.html, then try: dogvscat predict PHOTO --model {model}"


class Log(StrEnum):
    """Where the figures of each epoch go."""

    CSV = "csv"
    TENSORBOARD = "tensorboard"


def command(
    photos: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTOS",
            help="A folder or zip file with one folder of photos per class.",
            show_default="the photos that DOGVSCAT_DATA names, else the archive that `dogvscat fetch` downloads, "
            "else drawings",
        ),
    ] = None,
    recipe: Recipe = DEFAULT_RECIPE,
    config: Config = None,
    settings: Settings = None,
    test: Annotated[
        float, typer.Option(help="Share of the photos to hold out as a test split, for `evaluate`.", min=0, max=0.8)
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Same as `--set training.seed=N`.", min=0)] = None,
    relabel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Correct the labels of training photos with this table, such as the relabel.csv that "
            "`audit --labels` writes. Validation and test photos keep their labels, so results stay comparable.",
        ),
    ] = None,
    neither: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS",
            help="A folder or zip file of photos that show neither class. The network learns to answer `unsure` for "
            "such photos. A third of them is held out to measure how often it gives this answer.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Leave out the photos that this file lists, one path per line, for example to evaluate on them later.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The new run folder.", show_default="runs/RECIPE-NUMBER")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Resume the training in this run folder; --set may change a few settings, such as training.epochs.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show the training on a web page while it runs: learning curves, time left, and the mistakes on "
            "validation photos. Only this machine can open it.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the page of --watch; 0 for any free port.", min=0, max=65535, show_default=str(_WATCH_PORT)
        ),
    ] = None,
    log: Annotated[
        Log,
        typer.Option(
            metavar="csv|tensorboard",
            help="`csv` writes the figures of each epoch to history.csv. `tensorboard` also writes them to event files "
            "for TensorBoard, in the folder `tensorboard` of the run.",
        ),
    ] = Log.CSV,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting with its value and meaning, and exit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network from scratch, evaluate it, and write a report and a bundle (the model with its description).

    The recipe `fast` gives a good network within minutes, `best` the most accurate one within hours; `classic` is the
    small, plain network to learn from. Ctrl-C stops after the current step; --resume then continues, and the
    result is exactly the same as without the stop.
    """
    # --test and --seed are short forms of settings. They come last, because the last of several values counts.
    overrides = [*(settings or []), *([f"data.test_share={test}"] if test else [])]
    overrides += [f"training.seed={seed}"] if seed is not None else []
    if show_settings:
        from dogvscat.settings.resolve import resolve_config
        from dogvscat.settings.toml import to_toml

        for line in to_toml(resolve_config(recipe, config, overrides), commented=True).splitlines():
            show(line)
        return
    if port is not None and not watch:
        raise UsageError("--port is the port of the page of --watch", hint="Add --watch, or leave out --port.")
    # Log's values are the words that the functions take.
    monitoring = {"watch_port": (_WATCH_PORT if port is None else port) if watch else None, "log": log.value}
    if resume is not None:
        if photos or config or out or relabel or neither or exclude:
            message = "a resumed run keeps its photos, --config, --relabel, --neither, --exclude and --out"
            raise UsageError(message, hint="Leave them out: dogvscat train --resume FOLDER")
        run_dir = _resume(resume, overrides, monitoring)
    else:
        inputs = {"neither": neither, "relabel": relabel, "exclude": exclude}
        run_dir = _train(photos, recipe, config, overrides, out, inputs, monitoring)
    _show_result(run_dir, as_json)


def _train(
    photos: Path | None,
    recipe: str,
    config: Path | None,
    overrides: list[str],
    out: Path | None,
    inputs: Mapping[str, Any],
    monitoring: Mapping[str, Any],
) -> Path:
    from dogvscat.api.functions import train

    return train(
        photos, recipe, settings=overrides, config=config, out=out, **inputs, **monitoring, report=report
    ).folder


def _resume(run_dir: Path, overrides: list[str], monitoring: Mapping[str, Any]) -> Path:
    from dogvscat.api.functions import resume

    return resume(run_dir, overrides, **monitoring, report=report).folder


def _show_result(run_dir: Path, as_json: bool) -> None:
    import json

    from dogvscat.bundle.folder import load_card
    from dogvscat.cli.answers import report_warnings

    metrics = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    if as_json:
        show_json({"run": str(run_dir), "metrics": metrics})
    else:
        show_metrics(metrics)
        report(_NEXT_STEP.format(run_dir=run_dir, model=shell_word(run_dir)))
    report_warnings(load_card(run_dir).warnings)  # last, where they are seen
