"""`dogvscat sample`: cats and dogs drawn by code, to try everything without photographs."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.output import report


def command(
    folder: Annotated[Path, typer.Argument(help="Where to; must not exist, or be empty.")],
    count: Annotated[int, typer.Option(help="Pictures in all, half of each class.", min=2, max=100_000)] = 400,
    seed: Annotated[int, typer.Option(help="Other seeds draw other animals.", min=0)] = 0,
) -> None:
    """Draw cats and dogs. What a network learns from drawings is of no use on photographs."""
    from dogvscat.photos.drawing import write_sample

    write_sample(folder, count, seed)
    report(f"{count} drawings in {folder}. Train on them with: dogvscat train {folder}")
