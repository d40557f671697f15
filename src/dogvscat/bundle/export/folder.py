"""The folder an export is: written whole, and replaced only while nobody has changed it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from dogvscat import atomic
from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.export.parity import Parity, ParityPictures, check_parity, golden_files
from dogvscat.bundle.export.readme import MADE_BY, describe
from dogvscat.bundle.folder import PREPROCESSING_FILE, Bundle
from dogvscat.errors import UsageError


def refuse_out(out: Path) -> None:
    """Raise if an export could not or must not be written there.

    Args:
        out: Must not exist, be an empty folder, or hold an export as it was written.

    Raises:
        UsageError: if it holds anything else.
        WriteError: if nothing can be written there.
    """
    atomic.refuse_unwritable(out.absolute().parent)
    if not os.path.lexists(out):
        return
    hint = "Choose another --out, or move it away."
    if not out.is_dir():
        raise UsageError(f"{out} is a file, expected a new folder", hint=hint)
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if not path.is_dir()}
    if not found:
        return
    listed = _listed(out)
    if listed is None:
        raise UsageError(f"{out} is no export of ours and is not overwritten", hint=hint)
    for name, path in sorted(found.items()):
        if name != PREPROCESSING_FILE and listed.get(name) != hashlib.sha256(path.read_bytes()).hexdigest():
            raise UsageError(f"{path} was added or changed since the export, which is not overwritten", hint=hint)


def write_export(
    out: Path, bundle: Bundle, format_name: str, pictures: ParityPictures, conversion: Conversion
) -> Parity:
    """Check an export against its bundle and write it with its description; all of it or nothing.

    Args:
        out: A folder that `refuse_out` lets pass.
        bundle: What was exported.
        format_name: One of `FORMATS`.
        pictures: What both were asked about.
        conversion: What was made of the bundle.

    Raises:
        ModelError: if it does not answer as the bundle does.
        WriteError: if it cannot be written.
    """
    parity = check_parity(pictures, conversion.logits, format_name)
    files = {**conversion.files, **golden_files(bundle)}
    atomic.write_folder(out, {**files, **describe(bundle, format_name, conversion, parity, files)})
    return parity


def _listed(folder: Path) -> dict[str, Any] | None:
    """The digests of an export's files, or None if there is no export."""
    try:
        document = json.loads((folder / PREPROCESSING_FILE).read_bytes())
        return dict(document["files"]) if document["made_by"] == MADE_BY else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
