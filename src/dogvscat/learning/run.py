"""The run folder: where each thing of a training lies, what it was made with, and that nobody's is overwritten."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogvscat import writing
from dogvscat.config import Config
from dogvscat.errors import ConfigError, ModelError, UsageError, WriteError
from dogvscat.photos.manifest import Manifest, load_manifest, save_manifest
from dogvscat.settings import build_config, read_toml, to_toml

if TYPE_CHECKING:  # who only lists runs does not wait for Numba
    from dogvscat.learning.material import Material

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

_NEEDED = {"photos", "data_digest", "drawn_sample", "threads", "commit"}
"""What is read back from `environment.json`."""


@dataclass(frozen=True)
class Run:
    """A run folder. Its files are named by the design; this is the one place that knows their names."""

    folder: Path

    @property
    def config_file(self) -> Path:
        return self.folder / "config.toml"

    @property
    def environment_file(self) -> Path:
        return self.folder / "environment.json"

    @property
    def manifest_file(self) -> Path:
        return self.folder / "manifest.csv"

    @property
    def neither_file(self) -> Path:
        return self.folder / "neither.csv"

    @property
    def history_file(self) -> Path:
        return self.folder / "history.csv"

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "checkpoint" / "state.npz"

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def predictions_file(self) -> Path:
        return self.folder / "predictions.csv"

    @property
    def augmentation_picture(self) -> Path:
        return self.folder / "augmentation.png"

    @property
    def report_file(self) -> Path:
        return self.folder / "report.html"

    @property
    def bundle_folder(self) -> Path:
        return self.folder / "bundle"

    def load_config(self) -> Config:
        """The configuration this run was started with.

        Raises:
            ModelError: if this is no run folder, or the file is damaged.
        """
        if not self.config_file.is_file():
            hint = "A run folder is what `dogvscat train` writes; it holds a config.toml."
            raise ModelError(f"{self.folder} is not a run folder", hint=hint)
        try:
            return build_config(read_toml(self.config_file))
        except ConfigError as error:
            raise ModelError(f"{self.config_file} is damaged: {error.message}", hint=error.hint) from None

    def save_config(self, config: Config) -> None:
        """Write the configuration; reading it back gives an equal one."""
        writing.write_text(self.config_file, to_toml(config))

    def load_known_failures(self) -> list[str]:
        """What somebody who looked at the mistakes wrote into known_failures.md, a line each; empty without it.

        Raises:
            ModelError: if the file is no text.
        """
        file = self.folder / "known_failures.md"
        try:
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{file} cannot be read: {error}") from None
        return [text for line in lines if (text := line.strip().removeprefix("- ").strip())]

    def load_history(self) -> list[dict[str, float]]:
        """A row an epoch finished so far, with the columns of history.csv.

        Raises:
            ModelError: if the file is damaged.
        """
        try:
            with self.history_file.open(encoding="utf-8", newline="") as file:
                return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise ModelError(f"{self.history_file} is damaged: {error}") from None

    def load_metrics(self) -> dict[str, Any]:
        """The figures of a finished run by split; empty where it is not finished.

        Raises:
            ModelError: if the file is damaged.
        """
        try:
            metrics = json.loads(self.metrics_file.read_text(encoding="utf-8"))
            if not all(isinstance(result["figures"], dict) for result in metrics.values()):
                raise ValueError("a split has no figures")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(f"{self.metrics_file} is damaged: {error}") from None
        return dict(metrics)

    def load_environment(self) -> dict[str, Any]:
        """What the run was made with.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        try:
            environment = json.loads(self.environment_file.read_text(encoding="utf-8", errors="surrogateescape"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.environment_file} cannot be read: {error}") from None
        if not isinstance(environment, dict) or not _NEEDED.issubset(environment):
            raise ModelError(f"{self.environment_file} is damaged: expected {', '.join(sorted(_NEEDED))} in it")
        return environment

    def load_manifest(self) -> Manifest:
        """The pictures of the run, as they were split.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        environment = self.load_environment()
        manifest = load_manifest(self.manifest_file, drawn=bool(environment["drawn_sample"]))
        if manifest.digest != environment["data_digest"]:
            raise ModelError(f"{self.manifest_file} does not list the photos that this run was started with")
        return manifest

    def load_neither_manifest(self) -> Manifest:
        """The photos of neither class, as they were split.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        manifest = load_manifest(self.neither_file)
        if manifest.digest != self.load_environment().get("neither_digest"):
            raise ModelError(f"{self.neither_file} does not list the photos that this run was started with")
        return manifest


@dataclass(frozen=True)
class Origins:
    """Where the photos of a run lie; `--resume` goes back there if the pixel cache is gone."""

    photos: Path
    neither: Path | None = None
    """Photos that show neither class."""
    relabel_digest: str | None = None
    """sha256 of the relabel table applied to the manifest."""


def start_run(out: Path | None, config: Config, material: Material, origins: Origins, threads: int) -> Run:
    """Make a run folder with everything that is known before the first step.

    Args:
        out: Where, or None for the next free `runs/<recipe>-<n>`.
        config: Fully resolved.
        material: The pictures with their splits.
        origins: Where they come from.
        threads: In use.

    Raises:
        UsageError: if `out` exists already.
        WriteError: if it cannot be written.
    """
    run = Run(_new_folder(out, config.recipe))
    record_start(run, config, material, origins, threads)
    return run


def record_start(run: Run, config: Config, material: Material, origins: Origins, threads: int) -> None:
    """Write settings, manifests and, last, environment into a run folder; as `start_run`, wherever the folder is.

    Raises:
        WriteError: if they cannot be written.
    """
    run.save_config(config)
    save_manifest(run.manifest_file, material.manifest)
    environment = _environment(config, material.manifest, origins.photos, threads)
    if origins.relabel_digest is not None:
        environment["relabel_digest"] = origins.relabel_digest
    if material.neither is not None and origins.neither is not None:
        save_manifest(run.neither_file, material.neither.manifest)
        environment["neither"] = _in_json(origins.neither)
        environment["neither_digest"] = material.neither.manifest.digest
    writing.write_json(run.environment_file, environment)


def refuse_existing(out: Path | None) -> None:
    """Raise before any work is done if the results would have no place to go.

    Raises:
        UsageError: if `out` exists and is not an empty folder.
        WriteError: if nothing can be written there, or below `runs/` if `out` is None.
    """
    folder = out or Path("runs")
    with writing.writing(folder):
        if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
            is_run = (out / "config.toml").is_file()
            hint = "Choose another --out" + (f", or go on with it: dogvscat train --resume {out}" if is_run else ".")
            raise UsageError(f"{out} exists already and is not overwritten", hint=hint)
    writing.refuse_unwritable(folder)


def _new_folder(out: Path | None, recipe: str) -> Path:
    refuse_existing(out)
    if out is not None:
        with writing.writing(out):
            out.mkdir(parents=True, exist_ok=True)
        return out
    for number in range(1, 100_000):
        folder = Path("runs") / f"{recipe}-{number}"
        with writing.writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
        return folder
    raise WriteError("runs/ is full: there are 100,000 runs of this recipe")


def _environment(config: Config, manifest: Manifest, photos: Path, threads: int) -> dict[str, Any]:
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
        "drawn_sample": manifest.drawn,
        "seed": config.training.seed,
        "threads": threads,
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
    here = Path(__file__).parent.parent  # the package: what else changed does not matter to a run

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
