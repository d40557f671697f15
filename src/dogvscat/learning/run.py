"""The run folder: how it is created, where each file of a training lies, and how the files are read back."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import ConfigError, ModelError
from dogvscat.learning.environment import read_environment, settings_digest
from dogvscat.learning.history import refuse_impossible_history
from dogvscat.locks import LOCK_FILE
from dogvscat.photos.giveaways import Giveaway
from dogvscat.photos.manifest import Manifest, load_manifest
from dogvscat.settings.errors import ReplacedSettingError
from dogvscat.settings.resolve import build_config
from dogvscat.settings.toml import read_toml, to_toml
from dogvscat.text import html_table, parse_json, printable

if TYPE_CHECKING:
    pass

_LISTED_EPOCHS = 5
"""Rows of the history that a notebook shows."""


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
        self.event_folder = folder / "tensorboard"
        self.checkpoint_file = folder / "checkpoint" / "state.npz"
        self.metrics_file = folder / "metrics.json"
        self.predictions_file = folder / "predictions.csv"
        self.augmentation_picture = folder / "augmentation.png"
        self.network_picture = folder / "network.png"
        self.report_file = folder / "report.html"
        self.bundle_folder = folder / "bundle"

    def __fspath__(self) -> str:
        """So that a run can be given wherever a path to its folder can."""
        return str(self.folder)

    def __repr__(self) -> str:
        return f"<Run {printable(str(self.folder))}: {self._result_in_words()}>"

    def _result_in_words(self) -> str:
        from dogvscat.judging.intervals import MetricValue, as_percent

        try:
            metrics = self.load_metrics()
        except ModelError:
            return "its metrics.json is damaged"
        if not metrics:
            return "not finished"
        accuracy = MetricValue(**metrics["validation"]["figures"]["accuracy"])
        return f"validation accuracy {as_percent(accuracy)}, n = {accuracy.n:,}"

    def _repr_html_(self) -> str:
        """As notebooks show it: the result, the last epochs, and the picture of the network.

        Raises:
            ModelError: if history.csv is damaged.
        """
        from html import escape

        from dogvscat.pages import data_uri

        rows = self.load_history()
        epochs = [[f"{value:.4g}" for value in row.values()] for row in rows[-_LISTED_EPOCHS:]]
        table = html_table(list(rows[0]), epochs) if rows else ""
        picture = ""
        if self.network_picture.is_file():
            source = data_uri(self.network_picture.read_bytes())
            picture = f'<img alt="the network" style="max-width: 100%" src="{source}">'
        return f"<p>{escape(repr(self))}</p>{table}{picture}"

    def is_unstarted(self) -> bool:
        """Whether a training was killed before its first step: there is a lock file, and no environment.json, which is
        the last file of a start. Nothing is lost if another training starts in the folder."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        first_files = {LOCK_FILE, self.manifest_file.name, self.neither_file.name, self.config_file.name}
        return LOCK_FILE in names and {name for name in names if not atomic.is_partial(name)} <= first_files

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
        if self.is_unstarted():
            hint = "Run the same `train` command again, with this folder as --out."
            raise ModelError(
                f"{self.folder} holds no training yet: `train` was stopped before its first step", hint=hint
            )
        if not self.config_file.is_file():
            hint = "A run folder is what `dogvscat train` writes; it holds a config.toml."
            raise ModelError(f"{self.folder} is not a run folder: it has no config.toml", hint=hint)
        try:
            return build_config(read_toml(self.config_file))
        except ReplacedSettingError as error:
            hint = "Its settings have other names now, so this run cannot be resumed or read. Train again."
            raise ModelError(f"{self.config_file} is of an earlier version: {error.message}", hint=hint) from None
        except ConfigError as error:
            raise ModelError(f"{self.config_file} is damaged: {error.message}", hint=error.hint) from None

    def load_started_config(self) -> Config:
        """The configuration; raises as `load_config`, and if the training was started with another one."""
        config, started = self.load_config(), self.load_environment().get("settings_digest")
        if started not in (None, settings_digest(config)):
            raise ModelError(f"{self.config_file} does not have the settings that this run was started with")
        return config

    def save_config(self, config: Config) -> None:
        """Write the configuration; reading it back gives an equal one."""
        atomic.write_text(self.config_file, to_toml(config))

    def load_known_failures(self) -> list[str]:
        """The lines of known_failures.md, in which a person describes the mistakes; empty without that file.

        Raises:
            ModelError: if the file cannot be read.
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
                rows = [
                    {name: float(value) for name, value in row.items()} for row in csv.DictReader(file, strict=True)
                ]
            refuse_impossible_history(rows)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise ModelError(f"{self.history_file} is damaged: {error}") from None
        return rows

    def load_metrics(self) -> dict[str, Any]:
        """The figures of a finished run by split; empty where it is not finished.

        Raises:
            ModelError: if the file is damaged.
        """
        try:
            metrics = parse_json(self.metrics_file.read_text(encoding="utf-8"))
            for split, result in metrics.items():
                _refuse_impossible_figures(split, result)
            if not {"train", "validation"} <= metrics.keys():
                raise ValueError("the figures of train or validation are missing")
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
        return read_environment(self.environment_file)

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
        for row in manifest.rows:
            if not re.fullmatch("[0-9]{1,9}x[0-9]{1,9}", row.size):
                raise ModelError(f"{file} is damaged: {row.path!r} has the size {row.size!r}, expected WIDTHxHEIGHT")
            if row.split and not row.perceptual_hash:
                raise ModelError(f"{file} is damaged: {row.path!r} has a split, though it cannot be decoded")
        return manifest


def _refuse_impossible_figures(split: str, result: Mapping[str, Any]) -> None:
    """Check what metrics.json says about one split.

    Raises:
        ValueError: if a figure is impossible; a KeyError or TypeError if one is missing.
    """
    shares = ("accuracy", "majority_baseline") if "n" in result else ()  # the result on neither class has no accuracy
    if "n" in result and not (type(result["n"]) is int and result["n"] > 0):
        raise ValueError(f"n of {split} should be a whole number above 0, received {result['n']!r}")
    for name, figure in result["figures"].items():
        if figure.keys() != {"value", "low", "high", "n", "method"} or type(figure["n"]) is not int:
            raise ValueError(f"{name} of {split} should have value, low, high, n and method")
        for part in ("value", "low", "high"):
            number = figure[part]
            if number is not None and (isinstance(number, bool) or not math.isfinite(number)):
                raise ValueError(f"{name} of {split} should be a finite number, received {number!r}")
    for name in shares:
        low, value, high = (result["figures"][name][part] for part in ("low", "value", "high"))
        if not 0 <= low <= value <= high <= 1:
            raise ValueError(f"{name} of {split} should lie between 0 and 1, received {value!r} ({low!r} to {high!r})")
