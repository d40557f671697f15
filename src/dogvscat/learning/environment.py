"""environment.json: what a run was made with, how it is written, and how it is checked when it is read back."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogvscat._version import installed_versions
from dogvscat.config import Config
from dogvscat.cpus import available_cpus
from dogvscat.errors import ModelError
from dogvscat.learning.engine import ComputeSettings
from dogvscat.photos.giveaways import Giveaway
from dogvscat.settings.keys import flatten
from dogvscat.text import parse_json

if TYPE_CHECKING:
    from dogvscat.learning.data.dataset import Dataset

EXTENDABLE = ("training.epochs", "training.early_stopping_patience", "training.checkpoint_seconds")
"""Settings that may change when a run is resumed; any other would make it a different run."""

_MOST_THREADS = 1024
"""More would end the process inside of the backend, which starts every thread that it is asked for."""


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


def describe_environment(
    config: Config, dataset: Dataset, paths: InputPaths, compute: ComputeSettings
) -> dict[str, Any]:
    """The content of environment.json."""
    excluded = {} if paths.exclude is None else {"exclude": _path_in_json(paths.exclude)}
    giveaways = {}
    if dataset.manifest.giveaways:
        giveaways = {"giveaways": [asdict(giveaway) for giveaway in dataset.manifest.giveaways]}
    relabeled = {} if paths.relabel_digest is None else {"relabel_digest": paths.relabel_digest}
    neither = {}
    if dataset.neither is not None and paths.neither is not None:
        neither = {"neither": _path_in_json(paths.neither), "neither_digest": dataset.neither.manifest.digest}
    computer, code = hardware(), commit()
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "photos": _path_in_json(paths.photos),
        "data_digest": dataset.manifest.digest,
        "drawn_sample": dataset.manifest.is_synthetic,
        "settings_digest": settings_digest(config),
        "seed": config.training.seed,
        "threads": compute.threads,
        "precision": compute.precision,
        "backend": compute.backend,
        "python": platform.python_version(),
        "versions": installed_versions(),
        "platform": platform.platform(),
        "hardware": computer,
        "commit": code,
        **excluded,
        **giveaways,
        **relabeled,
        **neither,
    }


def read_environment(file: Path) -> dict[str, Any]:
    """Read environment.json.

    Raises:
        ModelError: if it is missing, or an entry is missing or impossible.
    """
    try:
        # Paths may hold bytes that are not UTF-8; surrogateescape carries them through JSON unchanged.
        environment = parse_json(file.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ModelError(f"{file} is damaged: expected JSON: {error}") from None
    if not isinstance(environment, dict):
        raise ModelError(f"{file} is damaged: expected an object, received {json.dumps(environment)[:60]}")
    if missing := sorted(_REQUIRED - environment.keys()):
        raise ModelError(f"{file} is damaged: expected entries for {', '.join(missing)}")
    for name, (is_valid, expected) in _ENTRIES.items():
        if name in environment and not is_valid(environment[name]):
            received = json.dumps(environment[name])
            raise ModelError(f"{file} is damaged: {name} should be {expected}, received {received[:60]}")
    return environment


def settings_digest(config: Config) -> str:
    """A digest of all settings that may not change when a run is resumed.

    Only settings that differ from their defaults count. So a setting that a later version adds does not change it.
    """
    settings = flatten(config.model_dump(exclude_defaults=True, exclude={"recipe"}))
    kept = {key: value for key, value in settings.items() if key not in EXTENDABLE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


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


def _path_in_json(path: Path) -> str:
    """A path as JSON can hold it, also one with bytes that are not UTF-8."""
    return os.fsencode(path.resolve()).decode("utf-8", "surrogateescape")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _is_giveaways(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_giveaway, value))


def _is_giveaway(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {field.name for field in fields(Giveaway)}:
        return False
    shares = [value[name] for name in ("accuracy", "low", "high", "majority_share")]
    return (
        all(isinstance(share, float) and math.isfinite(share) and 0 <= share <= 1 for share in shares)
        and type(value["n"]) is int
        and all(isinstance(value[name], str) and value[name] for name in ("fact", "advice"))
    )


_ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "started": (_is_text, "a text"),
    "photos": (_is_path, "a path"),
    "data_digest": (_is_digest, "64 hexadecimal digits"),
    "drawn_sample": (lambda value: isinstance(value, bool), "true or false"),
    "settings_digest": (_is_digest, "64 hexadecimal digits"),
    "seed": (_is_whole(0, 2**31 - 1), "a whole number"),
    "threads": (_is_whole(1, _MOST_THREADS), f"a whole number from 1 to {_MOST_THREADS:,}"),
    "precision": (lambda value: value in ("float32", "bfloat16"), "float32 or bfloat16"),
    "commit": (_is_text, "a text"),
    "giveaways": (_is_giveaways, "a list of facts about the files"),
    "relabel_digest": (_is_digest, "64 hexadecimal digits"),
    "exclude": (_is_path, "a path"),
    "neither": (_is_path, "a path"),
    "neither_digest": (_is_digest, "64 hexadecimal digits"),
}
"""The entries that are used later, each with its check and what it should be."""
_REQUIRED = {"photos", "data_digest", "drawn_sample", "seed", "threads", "commit"}
