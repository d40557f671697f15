"""`dogvscat lr-find`: how large may the learning rate be?"""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.options import DEFAULT_RECIPE, AsJson, Config, LabeledPhotos, Recipe, Settings
from dogvscat.cli.output import report, show, show_json
from dogvscat.text import shell_word


def command(
    photos: LabeledPhotos,
    recipe: Recipe = DEFAULT_RECIPE,
    config: Config = None,
    settings: Settings = None,
    steps: Annotated[int, typer.Option(help="Number of training steps in the test.", min=20, max=10_000)] = 300,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write learning_rates.png and learning_rates.csv here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Suggest a learning rate: raise it at each training step until the loss diverges (a range test)."""
    from dogvscat.api.extras import need_train_extra

    need_train_extra()
    from dogvscat import atomic
    from dogvscat.exploring.lr_range import range_test, write_range_test
    from dogvscat.settings.resolve import resolve_config

    if out is not None:  # before minutes of training
        atomic.refuse_unwritable(out)
    resolved = resolve_config(recipe, config, settings or [])
    test = range_test(photos, resolved, steps, report)
    now = resolved.training.learning_rate
    if out is not None:
        write_range_test(out, test, now)
    if as_json:
        result = {"suggestion": test.suggestion, "conclusive": test.conclusive, "now": now, "steps": len(test.rates)}
        show_json(result | {"note": test.note})
    else:
        if test.note:
            report(f"note: {test.note}")
        show(f"suggested learning rate: {test.suggestion:.2g} (the settings have {now:g})")
        if not test.conclusive:
            report("But the loss never fell clearly in this test, so the suggestion means little; try more --steps.")
        overrides = [*(settings or []), f"training.learning_rate={test.suggestion:.2g}"]
        flags = [f"--recipe {shell_word(recipe)}", *([f"--config {shell_word(config)}"] if config else [])]
        flags += [f"--set {shell_word(setting)}" for setting in overrides]
        report(f"Try it: dogvscat train {shell_word(photos)} {' '.join(flags)}")
    if out is not None:
        report(f"Look at {out}/learning_rates.png")
