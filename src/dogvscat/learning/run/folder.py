"""The run folder: where each thing of a training lies, and how it is read back."""

import csv
import json
from pathlib import Path
from typing import Any

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import ConfigError, ModelError
from dogvscat.photos.manifest import Manifest, load_manifest
from dogvscat.settings import build_config, read_toml, to_toml

_REQUIRED = {"photos", "data_digest", "drawn_sample", "threads", "commit"}
"""What every environment.json must hold to be read back."""


class Run:
    """A run folder. This is the only place that knows the names of its files.

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
        self.report_file = folder / "report.html"
        self.bundle_folder = folder / "bundle"

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
        manifest = load_manifest(self.manifest_file, is_synthetic=bool(environment["drawn_sample"]))
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
