"""`dogvscat evaluate`: measure a finished model on labeled photos."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.options import AsJson, ClassFolders, Exact, LabeledPhotos, PublicKey, Threads, parse_class_folders
from dogvscat.cli.output import report, show_json, show_metrics


def command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A run folder, a bundle (a folder with card.json and model.onnx), or `best`, the bundled model.",
        ),
    ],
    photos: LabeledPhotos,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write report.html, the figures, metrics and predictions into this folder."
        ),
    ] = None,
    class_names: ClassFolders = None,
    only: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Evaluate only the photos that this file lists, one path per line."),
    ] = None,
    threads: Threads = None,
    exact: Exact = False,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> int:
    """Evaluate a model on labeled photos. Photos that it was trained on are recognized and reported separately."""
    from dogvscat.api.functions import evaluate
    from dogvscat.errors import DataError

    evaluation = evaluate(
        model,
        photos,
        out=out,
        class_folders=parse_class_folders(class_names),
        only=only,
        threads=threads or 0,
        exact=exact,
        public_key=public_key,
        report=report,
    )
    metrics = {name: result.to_dict() for name, result in evaluation.results.items()}
    if as_json:
        show_json({"model": evaluation.model, "out": None if out is None else str(out), "metrics": metrics})
    else:
        report(f"The model is {evaluation.model}.")
        show_metrics(metrics)
        report(
            f"Look at {out}/report.html"
            if out
            else "Add --out FOLDER for a report with figures and a table of predictions."
        )
    for failure in evaluation.failures:  # photos that could not be read; all others were evaluated
        report(f"error: {failure.message}")
    return DataError.exit_code if evaluation.failures else 0
