"""A new run folder: which folder a training may start in, and what is written before its first step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import UsageError, WriteError
from dogvscat.learning.engine import ComputeSettings
from dogvscat.learning.environment import InputPaths, describe_environment
from dogvscat.learning.run import Run
from dogvscat.locks import exclusive
from dogvscat.photos.manifest import save_manifest
from dogvscat.text import shell_word

if TYPE_CHECKING:
    from dogvscat.learning.data.dataset import Dataset


def refuse_existing(out: Path | None) -> None:
    """Raise before any work is done if the results could not be written.

    Raises:
        UsageError: if `out` exists and is neither an empty folder nor one in which a training was killed while it
            started.
        WriteError: if nothing can be written there, or below `runs/` if `out` is None.
    """
    folder = out or Path("runs")
    with atomic.wrap_write_errors(folder):
        if out is not None and not _is_free(out):
            run = Run(out)
            is_run = run.config_file.is_file() and run.environment_file.is_file()
            hint = "Choose another --out" + (
                f", or resume it: dogvscat train --resume {shell_word(out)}" if is_run else "."
            )
            raise UsageError(f"{out} exists already and is not overwritten", hint=hint)
    atomic.refuse_unwritable(folder)


@contextmanager
def new_folder(out: Path | None, recipe: str) -> Iterator[Path]:
    """The folder of a new run, for this process only: `out`, or the first free `runs/<recipe>-<n>` if that is None.

    Raises:
        UsageError: if `out` exists and is not free, or another process writes to it.
        WriteError: if it cannot be made.
    """
    if out is not None:
        refuse_existing(out)  # before a lock file is written into a folder that is not free
        with exclusive(out):
            refuse_existing(out)  # again: another process may have finished meanwhile
            yield out
        return
    with ExitStack() as stack:
        yield _enter_numbered_folder(recipe, stack)


def _enter_numbered_folder(recipe: str, stack: ExitStack) -> Path:
    """The first free folder of a recipe; it stays locked until the stack is closed."""
    for number in range(1, 100_000):
        folder = Path("runs") / f"{recipe}-{number}"
        if not _is_free(folder):
            continue
        lock = ExitStack()
        try:
            lock.enter_context(exclusive(folder))
        except UsageError:  # another training is starting in this folder
            continue
        if _is_free(folder):
            stack.push(lock)
            return folder
        lock.close()
    raise WriteError(f"runs/ has no free number for {recipe}: 1 to 99,999 are taken", hint="Give --out FOLDER.")


def _is_free(folder: Path) -> bool:
    """Whether a training may start in a folder without overwriting anything."""
    if not os.path.lexists(folder):
        return True
    return folder.is_dir() and (Run(folder).is_unstarted() or not any(folder.iterdir()))


def create_run(folder: Path, config: Config, dataset: Dataset, paths: InputPaths, compute: ComputeSettings) -> Run:
    """Write everything that is known before the first step into a run folder; environment.json is the last file.

    Args:
        folder: It exists, or can be made.
        config: Fully resolved.
        dataset: The images with their splits.
        paths: Where they come from.
        compute: As `open_engine` settled it.

    Raises:
        WriteError: if a file cannot be written.
    """
    run, environment = Run(folder), describe_environment(config, dataset, paths, compute)
    save_manifest(run.manifest_file, dataset.manifest)
    if dataset.neither is not None:
        save_manifest(run.neither_file, dataset.neither.manifest)
    run.save_config(config)
    atomic.write_json(run.environment_file, environment)
    return run
