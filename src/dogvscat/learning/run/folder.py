"""The run folder: where each thing of a training lies, and how it is read back."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import ConfigError, ModelError
from dogvscat.photos.manifest import Manifest, load_manifest
from dogvscat.settings import build_config, read_toml, to_toml

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
        atomic.write_text(self.config_file, to_toml(config))

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
        manifest = load_manifest(self.manifest_file, is_synthetic=bool(environment["drawn_sample"]))
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
