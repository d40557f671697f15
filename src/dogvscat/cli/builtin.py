"""What `study` and `tune` share: `--show`, which prints a bundled file, and the arguments needed without `--show`."""

import re
from pathlib import Path

from dogvscat.cli.output import show
from dogvscat.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def show_file(file: Path) -> None:
    """Print a bundled file."""
    for line in file.read_text(encoding="utf-8").splitlines():
        show(line)


def require_photos_and_out(photos: Path | None, out: Path | None, cluster: str | None) -> tuple[Path, Path]:
    """The photos and the results folder, both required without `--show`; for a cluster as absolute paths.

    Raises:
        UsageError: naming the missing argument.
    """
    hint = "Or give only --show, to print the bundled settings."
    if photos is None:
        raise UsageError("missing argument PHOTOS, a folder or zip file with one folder per class", hint=hint)
    if out is None:
        raise UsageError("missing option --out, the folder of the results", hint=hint)
    # Workers of a cluster have other working directories.
    return (photos, out) if cluster is None else (photos.absolute(), out.absolute())


def parse_duration(text: str, option: str) -> float:
    """The seconds of a duration such as `90s`, `30m` or `1.5h`.

    Raises:
        UsageError: if it is not a number followed by s, m or h; the message names the option.
    """
    # [0-9], because \d also matches the digits of other scripts.
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smh])", text.strip().lower())
    if match is None:
        hint = f"Example: {option} 2h"
        raise UsageError(f"expected {option} as a number followed by s, m or h, received {text!r}", hint=hint)
    return float(match[1]) * _SECONDS[match[2]]
