"""A run folder begins: nobody's is overwritten, and everything that is known before the first step is written down."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import UsageError, WriteError
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import Manifest, save_manifest

if TYPE_CHECKING:  # who only asks whether a folder is free does not wait for Numba
    from dogvscat.learning.data.dataset import Dataset

_RECORDED_PACKAGES = (
    "dogvscat",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
    "jax",
    "numpy",
    "pillow",
    "onnxruntime",
)


@dataclass(frozen=True)
class InputPaths:
    """Where the photos of a run lie; `--resume` goes back there if the pixel cache is gone."""

    photos: Path
    neither: Path | None = None
    """Photos that show neither class."""
    relabel_digest: str | None = None
    """sha256 of the relabel table applied to the manifest."""


@dataclass(frozen=True)
class ComputeSettings:
    """How a run computes."""

    threads: int
    """Of the CPU."""
    precision: str | None = None
    """What `training.precision = "auto"` stands for; None to take the faster one here."""


def start_run(out: Path | None, config: Config, dataset: Dataset, input_paths: InputPaths, threads: int) -> Run:
    """Make a run folder with everything that is known before the first step.

    Args:
        out: Where, or None for the next free `runs/<recipe>-<n>`.
        config: Fully resolved.
        dataset: The pictures with their splits.
        input_paths: Where they come from.
        threads: In use.

    Raises:
        UsageError: if `out` exists already.
        WriteError: if it cannot be written.
    """
    run = Run(_new_folder(out, config.recipe))
    record_start(run, config, dataset, input_paths, ComputeSettings(threads))
    return run


def record_start(run: Run, config: Config, dataset: Dataset, input_paths: InputPaths, compute: ComputeSettings) -> None:
    """Write settings, manifests and, last, environment into a run folder; as `start_run`, wherever the folder is.

    Raises:
        WriteError: if they cannot be written.
    """
    run.save_config(config)
    save_manifest(run.manifest_file, dataset.manifest)
    environment = _environment(config, dataset.manifest, input_paths.photos, compute)
    if input_paths.relabel_digest is not None:
        environment["relabel_digest"] = input_paths.relabel_digest
    if dataset.neither is not None and input_paths.neither is not None:
        save_manifest(run.neither_file, dataset.neither.manifest)
        environment["neither"] = _in_json(input_paths.neither)
        environment["neither_digest"] = dataset.neither.manifest.digest
    atomic.write_json(run.environment_file, environment)


def refuse_existing(out: Path | None) -> None:
    """Raise before any work is done if the results would have no place to go.

    Raises:
        UsageError: if `out` exists and is not an empty folder.
        WriteError: if nothing can be written there, or below `runs/` if `out` is None.
    """
    folder = out or Path("runs")
    with atomic.writing(folder):
        if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
            is_run = (out / "config.toml").is_file()
            hint = "Choose another --out" + (f", or go on with it: dogvscat train --resume {out}" if is_run else ".")
            raise UsageError(f"{out} exists already and is not overwritten", hint=hint)
    atomic.refuse_unwritable(folder)


def _new_folder(out: Path | None, recipe: str) -> Path:
    refuse_existing(out)
    if out is not None:
        with atomic.writing(out):
            out.mkdir(parents=True, exist_ok=True)
        return out
    for number in range(1, 100_000):
        folder = Path("runs") / f"{recipe}-{number}"
        with atomic.writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
        return folder
    raise WriteError("runs/ is full: there are 100,000 runs of this recipe")


def _environment(config: Config, manifest: Manifest, photos: Path, compute: ComputeSettings) -> dict[str, Any]:
    from dogvscat.learning.precision import settled  # Keras, after the backend was prepared

    versions = {}
    for package in _RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except ModuleNotFoundError:  # PackageNotFoundError: not installed here
            continue
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "photos": _in_json(photos),
        "data_digest": manifest.digest,
        "drawn_sample": manifest.is_synthetic,
        "seed": config.training.seed,
        "threads": compute.threads,
        "precision": settled(config.training, compute.precision).precision,
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "hardware": hardware(),
        "commit": commit(),
    }


def _in_json(path: Path) -> str:
    return os.fsencode(path.resolve()).decode("utf-8", "surrogateescape")


def hardware() -> str:
    """The processor and the number of cores this process may use, in words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"


def commit() -> str:
    """The commit of the checkout this code runs from, `+` behind it if files were changed; else `unknown`."""
    here = Path(__file__).parents[2]  # the package: what else changed does not matter to a run

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
