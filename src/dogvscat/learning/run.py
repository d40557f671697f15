"""The run folder: how it is created, where each file of a training lies, and how the files are read back."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogvscat import atomic
from dogvscat._version import installed_versions
from dogvscat.config import Config
from dogvscat.cpus import available_cpus
from dogvscat.errors import ConfigError, ModelError, UsageError, WriteError
from dogvscat.learning.engine import ComputeSettings
from dogvscat.photos.giveaways import Giveaway
from dogvscat.photos.manifest import Manifest, load_manifest, save_manifest
from dogvscat.settings.errors import ReplacedSettingError
from dogvscat.settings.resolve import build_config
from dogvscat.settings.toml import read_toml, to_toml
from dogvscat.text import shell_word

if TYPE_CHECKING:
    from dogvscat.learning.data.dataset import Dataset

_REQUIRED = {"photos", "data_digest", "drawn_sample", "threads", "commit"}
"""What every environment.json must hold to be read back."""


@dataclass(frozen=True)
class InputPaths:
    """Where the photos of a run lie; `--resume` reads them again from there if the pixel cache is gone."""

    photos: Path
    neither: Path | None = None
    """Photos that show neither class."""
    exclude: Path | None = None
    """A list of photos to leave out."""
    relabel_digest: str | None = None
    """sha256 of the relabel table that was applied to the manifest."""


class Run:
    """A run folder. This is the only class that knows the names of its files.

    Args:
        folder: It need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / "config.toml"
        self.environment_file = folder / "environment.json"
        self.manifest_file = folder / "manifest.csv"
        self.neither_file = folder / "neither.csv"
        self.known_failures_file = folder / "known_failures.md"
        self.history_file = folder / "history.csv"
        self.checkpoint_file = folder / "checkpoint" / "state.npz"
        self.metrics_file = folder / "metrics.json"
        self.predictions_file = folder / "predictions.csv"
        self.augmentation_picture = folder / "augmentation.png"
        self.network_picture = folder / "network.png"
        self.report_file = folder / "report.html"
        self.bundle_folder = folder / "bundle"

    def keep_report(self, num_epochs: int) -> Path:
        """Rename the report of this many epochs, because training continues; returns its new path. The page holds its
        figures, so it stays complete.

        Raises:
            WriteError: if it cannot be renamed.
        """
        kept = self.report_file.with_name(f"report-{num_epochs}-epochs.html")
        with atomic.wrap_write_errors(kept):
            self.report_file.replace(kept)
        return kept

    def load_config(self) -> Config:
        """The configuration this run was started with.

        Raises:
            ModelError: if this is not a run folder, or the file is damaged.
        """
        if not self.config_file.is_file():
            hint = "A run folder is what `dogvscat train` writes; it holds a config.toml."
            raise ModelError(f"{self.folder} is not a run folder", hint=hint)
        try:
            return build_config(read_toml(self.config_file))
        except ReplacedSettingError as error:
            hint = "Its settings have other names now, so it cannot be resumed or read. Train again: docs/network.md."
            raise ModelError(f"{self.config_file} is of an earlier version: {error.message}", hint=hint) from None
        except ConfigError as error:
            raise ModelError(f"{self.config_file} is damaged: {error.message}", hint=error.hint) from None

    def save_config(self, config: Config) -> None:
        """Write the configuration; reading it back gives an equal one."""
        atomic.write_text(self.config_file, to_toml(config))

    def load_known_failures(self) -> list[str]:
        """The lines of known_failures.md, in which a person describes the mistakes; empty without that file.

        Raises:
            ModelError: if the file is not text.
        """
        file = self.known_failures_file
        try:
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{file} cannot be read: {error}") from None
        return [text for line in lines if (text := line.strip().removeprefix("- ").strip())]

    def load_history(self) -> list[dict[str, float]]:
        """One row per finished epoch, with the columns of history.csv.

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
        """What the run was made with: versions, hardware, paths and digests of its photos.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        try:
            # Paths may hold bytes that are not UTF-8; surrogateescape carries them through JSON unchanged.
            environment = json.loads(self.environment_file.read_text(encoding="utf-8", errors="surrogateescape"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.environment_file} cannot be read: {error}") from None
        if not isinstance(environment, dict) or not _REQUIRED.issubset(environment):
            raise ModelError(f"{self.environment_file} is damaged: expected {', '.join(sorted(_REQUIRED))} in it")
        return environment

    def load_manifest(self) -> Manifest:
        """The photos of the run, as they were split.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        environment = self.load_environment()
        giveaways = tuple(Giveaway(**giveaway) for giveaway in environment.get("giveaways", ()))
        manifest = load_manifest(self.manifest_file, bool(environment["drawn_sample"]), giveaways)
        return self._with_digest(manifest, self.manifest_file, environment["data_digest"])

    def load_neither_manifest(self) -> Manifest:
        """The photos that show neither class, as they were split.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        manifest = load_manifest(self.neither_file)
        return self._with_digest(manifest, self.neither_file, self.load_environment().get("neither_digest"))

    def _with_digest(self, manifest: Manifest, file: Path, digest: str | None) -> Manifest:
        if manifest.digest != digest:
            raise ModelError(f"{file} does not list the photos that this run was started with")
        return manifest


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
            hint = "Choose another --out" + (
                f", or resume it: dogvscat train --resume {shell_word(out)}" if is_run else "."
            )
            raise UsageError(f"{out} exists already and is not overwritten", hint=hint)
    atomic.refuse_unwritable(folder)


def new_folder(out: Path | None, recipe: str) -> Path:
    """Make the folder of a new run: `out`, or the next free `runs/<recipe>-<n>` if that is None.

    Raises:
        UsageError: if `out` exists and is not an empty folder.
        WriteError: if it cannot be made.
    """
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
    raise WriteError(f"runs/ has no free number for {recipe}: 1 to 99,999 are taken", hint="Give --out FOLDER.")


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
    run, environment = Run(folder), _describe(config, dataset, paths, compute)
    save_manifest(run.manifest_file, dataset.manifest)
    if dataset.neither is not None:
        save_manifest(run.neither_file, dataset.neither.manifest)
    run.save_config(config)
    atomic.write_json(run.environment_file, environment)
    return run


def _describe(config: Config, dataset: Dataset, paths: InputPaths, compute: ComputeSettings) -> dict[str, Any]:
    """The content of environment.json."""
    excluded = {} if paths.exclude is None else {"exclude": _path_in_json(paths.exclude)}
    giveaways = {}
    if dataset.manifest.giveaways:
        giveaways = {"giveaways": [asdict(giveaway) for giveaway in dataset.manifest.giveaways]}
    relabelled = {} if paths.relabel_digest is None else {"relabel_digest": paths.relabel_digest}
    neither = {}
    if dataset.neither is not None and paths.neither is not None:
        neither = {"neither": _path_in_json(paths.neither), "neither_digest": dataset.neither.manifest.digest}
    computer, code = hardware(), commit()
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
        "hardware": computer,
        "commit": code,
        **excluded,
        **giveaways,
        **relabelled,
        **neither,
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
    return f"{name}, {available_cpus()} cores"


def commit() -> str:
    """The commit of the checkout this code runs from, with `+` after it if files were changed; else `unknown`."""
    package_dir = Path(__file__).parents[1]  # changes outside of the package do not matter to a run

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
