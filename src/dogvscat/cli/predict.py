"""`dogvscat predict`: predictions for photos, as text, JSON lines or a file. Never imports Keras."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.answers import answer_photos
from dogvscat.cli.options import AsJsonLines, Cluster, Exact, Isolate, Model, PhotoFiles, PublicKey, Threads


def command(
    photos: PhotoFiles,
    model: Model = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the predictions to this .csv, .jsonl or .parquet file. After a stop, the same command resumes.",
        ),
    ] = None,
    threads: Threads = None,
    cluster: Cluster = None,
    isolate: Isolate = False,
    exact: Exact = False,
    public_key: PublicKey = None,
    as_json: AsJsonLines = False,
) -> int:
    """Predict the class of each photo, with probabilities.

    Files that cannot be used are reported and skipped; the exit code is then 3.
    """
    return answer_photos(
        photos,
        model=model,
        out=out,
        threads=threads,
        cluster=cluster,
        isolate=isolate,
        exact=exact,
        public_key=public_key,
        as_json=as_json,
    )
