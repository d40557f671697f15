"""Remembers which bundles passed all checks here, so that each bundle is checked only before its first use.

For each bundle there is a file. Its name is the digest of the bundle, which depends on every byte of the bundle. Its
first line has the versions of everything that the checks depend on: with other versions, the bundle is checked again.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime
import PIL

from dogvscat import caches
from dogvscat._version import __version__
from dogvscat.bundle.folder import Bundle
from dogvscat.errors import UsageError, WriteError

_CHECKS = 1
"""Increase this number whenever a check of cards, graphs or golden pictures becomes stricter."""
_VERSIONS = (
    f"dogvscat {__version__}, checks {_CHECKS}, numpy {np.__version__}, onnxruntime {onnxruntime.__version__}, "
    f"pillow {PIL.__version__}"
)


def is_verified(bundle: Bundle, *, exact: bool) -> bool:
    """Whether a bundle passed all checks here, with the installed versions.

    Args:
        bundle: From `read_bundle`.
        exact: Whether only the full network will be asked.
    """
    file = _file(bundle, exact)
    if file is None:
        return False
    try:
        with file.open(encoding="utf-8") as remembered:
            return remembered.readline() == f"{_VERSIONS}\n"
    except (OSError, ValueError):
        return False


def remember_verified(bundle: Bundle, *, exact: bool) -> None:
    """Remember that a bundle passed all checks; without a place to write, it is checked again next time."""
    from dogvscat import atomic  # here: most starts write nothing

    if (file := _file(bundle, exact)) is not None:
        with suppress(WriteError):
            atomic.write_text(file, f"{_VERSIONS}\n{bundle.folder}\n")


def _file(bundle: Bundle, exact: bool) -> Path | None:
    """None for a user without a home folder."""
    try:
        # Where only the full network will be asked, the first one was not checked.
        return caches.folder("verified") / (bundle.digest + "-exact" * exact)
    except UsageError:
        return None
