"""Options that several commands share."""

from typing import Annotated

import typer

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="local|HOST:PORT",
        help="Work on a Ray cluster: local starts one on this machine, HOST:PORT joins a running one, whose machines "
        "all see the same paths.",
    ),
]
