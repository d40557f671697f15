"""`dogvscat evaluate`: judge a finished model on labelled photos."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.output import report, show_json


def command(
    model: Annotated[Path, typer.Argument(help="A run folder, a bundle, or the name of the one that ships: best.")],
    photos: Annotated[Path, typer.Argument(help="A folder or zip with one folder a class.")],
    out: Annotated[Path, typer.Option(help="Folder for metrics, predictions, pictures and report.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON document.")] = False,
) -> int:
    """Judge a model on labelled photos. Photos it was trained on are recognised and judged apart."""
    from dogvscat.cli.extras import need_train_extra
    from dogvscat.errors import DataError

    need_train_extra()
    from dogvscat.bundle.evaluation import evaluate
    from dogvscat.cli.results import show_figures
    from dogvscat.photos.sources import open_photos

    evaluation = evaluate(model, open_photos(photos), out, report)
    metrics = {name: result.to_dict() for name, result in evaluation.results.items()}
    if as_json:
        show_json({"model": str(model), "out": str(out), "metrics": metrics})
    else:
        show_figures(metrics)
        report(f"Look at {out}/report.html")
    for failure in evaluation.failures:
        report(f"error: {failure.message}")
    return DataError.exit_code if evaluation.failures else 0
