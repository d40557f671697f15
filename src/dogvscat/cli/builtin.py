"""What `study` and `tune` share: `--show` prints a bundled file; everything else needs photos and --out."""

from pathlib import Path

from dogvscat.cli.output import show
from dogvscat.errors import UsageError


def show_file(file: Path) -> None:
    """Print a bundled file."""
    for line in file.read_text(encoding="utf-8").splitlines():
        show(line)


def require_photos_and_out(photos: Path | None, out: Path | None, cluster: str | None) -> tuple[Path, Path]:
    """The photos and the folder of the results, which only `--show` does without; for a cluster as absolute paths.

    Raises:
        UsageError: naming the one that is missing.
    """
    hint = "Or give only --show, to print the bundled settings."
    if photos is None:
        raise UsageError("missing argument PHOTOS, a folder or zip with one folder per class", hint=hint)
    if out is None:
        raise UsageError("missing option --out, the folder of the results", hint=hint)
    # Workers of a cluster have other working directories.
    return (photos, out) if cluster is None else (photos.absolute(), out.absolute())
