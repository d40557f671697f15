"""The folder of an export: written completely or not at all, and replaced only if nobody has changed it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from dogvscat import atomic
from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.export.parity import Parity, ParityImages, check_parity, golden_files
from dogvscat.bundle.export.readme import MADE_BY, description_files
from dogvscat.bundle.folder import PREPROCESSING_FILE, Bundle
from dogvscat.errors import UsageError


def refuse_out(out: Path) -> None:
    """Raise if an export cannot or must not be written to a folder.

    Args:
        out: Does not exist yet, is an empty folder, or has an export that nobody has changed.

    Raises:
        UsageError: if it has anything else.
        WriteError: if nothing can be written there.
    """
    atomic.refuse_unwritable(out.absolute().parent)
    if not os.path.lexists(out):  # a broken link exists as well
        return
    hint = "Choose another --out, or move its content elsewhere."
    if not out.is_dir():
        raise UsageError(f"{out} is a file, expected a new folder", hint=hint)
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if not path.is_dir()}
    if not files:
        return
    digests = _read_digests(out)
    if digests is None:
        raise UsageError(f"{out} is not an export of dogvscat and is not overwritten", hint=hint)
    # Only files that exist are compared: if one is missing, nothing of the user's can be lost.
    for name, path in sorted(files.items()):
        if name != PREPROCESSING_FILE and digests.get(name) != hashlib.sha256(path.read_bytes()).hexdigest():
            raise UsageError(
                f"{path} was added or changed after the export, so the folder is not overwritten", hint=hint
            )


def write_export(out: Path, bundle: Bundle, format_name: str, images: ParityImages, conversion: Conversion) -> Parity:
    """Check an export against its bundle and write it with its description, completely or not at all.

    Args:
        out: A folder that `refuse_out` accepts.
        bundle: The exported bundle.
        format_name: One of `FORMATS`, or `LAYERS`.
        images: The images that both have answered, with the bundle's answers.
        conversion: The bundle in the other format.

    Raises:
        ModelError: if the export answers differently from the bundle.
        WriteError: if it cannot be written.
    """
    parity = check_parity(images, conversion.logits, format_name, conversion.precision)
    files = {**conversion.files, **golden_files(bundle)}
    atomic.write_folder(out, {**files, **description_files(bundle, format_name, conversion, parity, files)})
    return parity


def _read_digests(folder: Path) -> dict[str, Any] | None:
    """sha256 by relative path of an export's files, or None if the folder is not an export."""
    try:
        document = json.loads((folder / PREPROCESSING_FILE).read_bytes())
        return dict(document["files"]) if document["made_by"] == MADE_BY else None
    # Any JSON may be in a file of this name.
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
