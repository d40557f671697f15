"""`dogvscat sample`: cats and dogs drawn by code, to try the commands without photographs."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.output import report
from dogvscat.text import shell_word


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder for the drawings.")],
    count: Annotated[int, typer.Option(help="Total number of drawings, half of each class.", min=2, max=100_000)] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the drawings; different seeds draw different animals.", min=0)] = 0,
) -> None:
    """Draw cats and dogs, to try every command without photos.

    A network that learned from drawings is useless on photographs.
    """
    from dogvscat.photos.drawing.sample import write_sample

    write_sample(folder, count, seed)
    report(f"{count} drawings in {folder}. Train on them with: dogvscat train {shell_word(folder)}")
