"""What `study` and `tune` share: `--show` prints a file that ships; all else needs photos and --out."""

from pathlib import Path

from dogvscat.cli.output import show
from dogvscat.errors import UsageError


def show_file(file: Path) -> None:
    """Show a file that ships."""
    for line in file.read_text(encoding="utf-8").splitlines():
        show(line)


def needed(photos: Path | None, out: Path | None) -> tuple[Path, Path]:
    """Photos and folder of the results, which `--show` alone does without.

    Raises:
        UsageError: naming the one that is missing.
    """
    hint = "Or give --show alone, to see the settings that ship."
    if photos is None:
        raise UsageError("missing argument PHOTOS, a folder or zip with one folder a class", hint=hint)
    if out is None:
        raise UsageError("missing option --out, the folder of the results", hint=hint)
    return photos, out
