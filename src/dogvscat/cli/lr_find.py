"""`dogvscat lr-find`: how large may the learning rate be?"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.output import say, show, show_json


def command(
    photos: Annotated[Path, typer.Argument(help="A folder or zip with one folder a class.")],
    recipe: Annotated[str, typer.Option(help="Name of a shipped recipe, or a TOML file.")] = "classic",
    config: Annotated[Path | None, typer.Option(help="Settings on top of the recipe, as a TOML file.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="One setting; repeatable.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of the test.", min=20, max=10_000)] = 300,
    out: Annotated[Path | None, typer.Option(help="Folder for the picture and the table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Raise the learning rate from step to step until the loss blows up, and suggest how far to go."""
    from dogvscat.cli.extras import need_train_extra

    need_train_extra()
    from dogvscat import atomic
    from dogvscat.exploring.lr_range import range_test, write_range_test
    from dogvscat.settings import resolve_config

    if out is not None:
        atomic.refuse_unwritable(out)
    resolved = resolve_config(recipe, config, settings or [])
    test = range_test(photos, resolved, steps)
    now = resolved.training.learning_rate
    if out is not None:
        write_range_test(out, test, now)
    if as_json:
        found = {"suggestion": test.suggestion, "conclusive": test.conclusive, "now": now, "steps": len(test.rates)}
        show_json(found | {"note": test.note})
    else:
        if test.note:
            say(f"note: {test.note}")
        show(f"suggested learning rate: {test.suggestion:.2g} (the settings have {now:g})")
        if not test.conclusive:
            say("But the loss never fell clearly in this test, so the suggestion means little; try more --steps.")
        others = " ".join(f"--set {shlex.quote(setting)}" for setting in settings or [])
        rate = f"--set training.learning_rate={test.suggestion:.2g}"
        say(f"Try it: dogvscat train {shlex.quote(str(photos))} --recipe {recipe} {others} {rate}".replace("  ", " "))
    if out is not None:
        say(f"Look at {out}/learning_rates.png")
