"""A finished run as it is compared: settings, predictions for one split, and what identifies each photo."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dogvscat.bundle.folder import bundle_name, load_checksums
from dogvscat.config import Config
from dogvscat.errors import ModelError, UsageError
from dogvscat.judging.predictions import Predictions, read_predictions
from dogvscat.learning.run import Run
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.reading.folders import name_key
from dogvscat.photos.reading.layout import sorted_class_names
from dogvscat.text import shell_word

EXTRA_INPUTS = ("relabel_digest", "neither_digest")
"""Entries of environment.json about inputs other than the photos of the two classes: corrections of labels, and photos
that show neither class."""


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """A finished run with its predictions for the photos of one split."""

    run: Run
    config: Config
    environment: Mapping[str, Any]
    predictions: Predictions
    history: list[dict[str, float]]
    manifest: Manifest

    @cached_property
    def photo_ids(self) -> list[tuple[str, int]]:
        """For each prediction, what identifies its photo wherever it is stored: the sha256 and the number of the copy.

        Raises:
            ModelError: if a photo is not in the manifest.
        """
        copies = Counter[str]()
        ids: dict[str, tuple[str, int]] = {}
        for row in self.manifest.rows:
            ids[row.path] = (row.sha256, copies[row.sha256])
            copies[row.sha256] += 1
        try:
            return [ids[path] for path in self.predictions.paths]
        except KeyError as error:
            raise ModelError(f"{self.run.predictions_file} has a photo that the manifest lacks: {error}") from None

    @property
    def model(self) -> str | None:
        """Name of the run's bundle, such as `fast-1@3f9c2ab81d04`; None if the run has none that can be read."""
        try:
            return bundle_name(self.run.bundle_folder, load_checksums(self.run.bundle_folder))
        except ModelError:
            return None

    @property
    def extra_inputs(self) -> dict[str, str]:
        """The first digits of the digest of each of `EXTRA_INPUTS`, `none` where there is no such input."""
        return {key: str(self.environment.get(key, "none"))[:16] for key in EXTRA_INPUTS}


def read_run(run: Run, split: str, class_folders: Mapping[str, str]) -> EvaluatedRun:
    """A finished run with its predictions for one split.

    Args:
        run: The run.
        split: `validation` or `train`.
        class_folders: The class that each of these class names stands for, by `name_key` of the name.

    Raises:
        UsageError: if there are no predictions for the split, or both classes would get one name.
        ModelError: if the run is not finished or is damaged.
    """
    config = run.load_started_config()
    if not run.predictions_file.exists():
        hint = f"Resume it with: dogvscat train --resume {shell_word(run.folder)}"
        raise ModelError(f"{run.folder} is not finished: it has no {run.predictions_file.name}", hint=hint)
    predictions = read_predictions(run.predictions_file)
    if split not in predictions:
        raise UsageError(f"{run.predictions_file} has no split {split!r}, it has {', '.join(predictions)}")
    manifest, environment = run.load_manifest(), dict(run.load_environment())
    if predictions[split].class_names != manifest.class_names:
        names = " and ".join(predictions[split].class_names), " and ".join(manifest.class_names)
        raise ModelError(f"{run.predictions_file} is of {names[0]}, but the photos of the run are of {names[1]}")
    renamed = {name: class_folders.get(name_key(name), name) for name in manifest.class_names}
    if len(set(renamed.values())) < 2:
        raise UsageError(f"--class-names gives both classes of {run.folder} the same name, {renamed.popitem()[1]}")
    if any(name != new_name for name, new_name in renamed.items()):
        manifest = _with_classes(manifest, renamed)
        environment["data_digest"] = manifest.digest
    evaluated = _with_class_order(predictions[split], renamed)
    return EvaluatedRun(run, config, environment, evaluated, run.load_history(), manifest)


def _with_classes(manifest: Manifest, renamed: Mapping[str, str]) -> Manifest:
    """The manifest with other names for its classes."""
    rows = tuple(replace(row, label=renamed[row.label]) for row in manifest.rows)
    return replace(manifest, class_names=sorted_class_names(renamed.values()), rows=rows)


def _with_class_order(predictions: Predictions, renamed: Mapping[str, str]) -> Predictions:
    """The predictions with other names for the classes; 0 and 1 change places if the names sort the other way round."""
    class_names = sorted_class_names(renamed.values())
    if class_names[0] == renamed[predictions.class_names[0]]:
        return replace(predictions, class_names=class_names)
    y_true, y_prob, y_pred = (1 - column for column in (predictions.y_true, predictions.y_prob, predictions.y_pred))
    return replace(predictions, class_names=class_names, y_true=y_true, y_prob=y_prob, y_pred=y_pred)
