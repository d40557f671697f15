"""A run starts: no earlier run is overwritten, and everything known before the first step is written down."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogvscat import atomic
from dogvscat._version import installed_versions
from dogvscat.config import Config
from dogvscat.errors import UsageError, WriteError
from dogvscat.learning.engine import ComputeSettings
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import save_manifest

if TYPE_CHECKING:  # a command that only checks whether a folder is free need not wait for Numba
    from dogvscat.learning.data.dataset import Dataset


@dataclass(frozen=True)
class InputPaths:
    """Where the photos of a run lie; `--resume` reads them again from there if the pixel cache is gone."""

    photos: Path
    neither: Path | None = None
    """Photos that show neither class."""
    relabel_digest: str | None = None
    """sha256 of the relabel table that was applied to the manifest."""


def create_run(out: Path | None, config: Config, dataset: Dataset, paths: InputPaths, compute: ComputeSettings) -> Run:
    """Make a run folder with everything that is known before the first step.

    Args:
        out: The folder, or None for the next free `runs/<recipe>-<n>`.
        config: Fully resolved.
        dataset: The images with their splits.
        paths: Where they come from.
        compute: As `open_engine` settled it.

    Raises:
        UsageError: if `out` exists already.
        WriteError: if it cannot be written.
    """
    run = Run(_new_folder(out, config.recipe))
    record_start(run, config, dataset, paths, compute)
    return run


def record_start(run: Run, config: Config, dataset: Dataset, paths: InputPaths, compute: ComputeSettings) -> None:
    """Write settings, manifests and, last, environment.json into a run folder that exists or can be made.

    Raises:
        WriteError: if they cannot be written.
    """
    run.save_config(config)
    save_manifest(run.manifest_file, dataset.manifest)
    environment = _describe(config, dataset, paths, compute)
    if dataset.neither is not None and paths.neither is not None:
        save_manifest(run.neither_file, dataset.neither.manifest)
        environment["neither"] = _path_in_json(paths.neither)
        environment["neither_digest"] = dataset.neither.manifest.digest
    atomic.write_json(run.environment_file, environment)


def refuse_existing(out: Path | None) -> None:
    """Raise before any work is done if the results could not be written.

    Raises:
        UsageError: if `out` exists and is not an empty folder.
        WriteError: if nothing can be written there, or below `runs/` if `out` is None.
    """
    folder = out or Path("runs")
    with atomic.wrap_write_errors(folder):
        if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
            is_run = Run(out).config_file.is_file()
            hint = "Choose another --out" + (f", or resume it: dogvscat train --resume {out}" if is_run else ".")
            raise UsageError(f"{out} exists already and is not overwritten", hint=hint)
    atomic.refuse_unwritable(folder)


def _new_folder(out: Path | None, recipe: str) -> Path:
    refuse_existing(out)
    if out is not None:
        with atomic.wrap_write_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        return out
    for number in range(1, 100_000):
        folder = Path("runs") / f"{recipe}-{number}"
        with atomic.wrap_write_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()  # fails if it exists: two commands at once cannot get the same number
            except FileExistsError:
                continue
        return folder
    raise WriteError("runs/ is full: there are 100,000 runs of this recipe")


def _describe(config: Config, dataset: Dataset, paths: InputPaths, compute: ComputeSettings) -> dict[str, Any]:
    """The content of environment.json, apart from photos that show neither class."""
    relabelled = {} if paths.relabel_digest is None else {"relabel_digest": paths.relabel_digest}
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "photos": _path_in_json(paths.photos),
        "data_digest": dataset.manifest.digest,
        "drawn_sample": dataset.manifest.is_synthetic,
        "seed": config.training.seed,
        "threads": compute.threads,
        "precision": compute.precision,
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "python": platform.python_version(),
        "versions": installed_versions(),
        "platform": platform.platform(),
        "hardware": hardware(),
        "commit": commit(),
        **relabelled,
    }


def _path_in_json(path: Path) -> str:
    """A path as JSON can hold it, also one with bytes that are not UTF-8."""
    return os.fsencode(path.resolve()).decode("utf-8", "surrogateescape")


def hardware() -> str:
    """The processor and the number of cores this process may use, for people."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or a processor without a name
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"


def commit() -> str:
    """The commit of the checkout this code runs from, with `+` after it if files were changed; else `unknown`."""
    package_dir = Path(__file__).parents[2]  # changes outside of the package do not matter to a run

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=package_dir, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
