"""Finished runs compared: which is better, by how much, on which photos."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.config import Config
from dogvscat.errors import DataError, UsageError
from dogvscat.exploring.comparison.difference import Difference, difference_in_words, headline, paired_difference
from dogvscat.exploring.comparison.evaluated_run import EXTRA_INPUTS, EvaluatedRun, read_run
from dogvscat.exploring.effects import holm
from dogvscat.judging.predictions import Predictions
from dogvscat.learning.data.dataset import synthetic_note
from dogvscat.learning.run import Run
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.reading.folders import name_key
from dogvscat.settings.keys import differences
from dogvscat.settings.resolve import with_settings


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm of a comparison: runs that differ only in their seeds, each with another seed."""

    name: str
    runs: list[EvaluatedRun]

    @property
    def is_correct(self) -> np.ndarray:
        """Whether each run classifies each photo correctly: bool (num_runs, num_photos)."""
        return np.stack([run.predictions.y_true == run.predictions.y_pred for run in self.runs])

    @property
    def y_prob(self) -> np.ndarray:
        """Probability of the positive class, the mean over the runs: float64 (num_photos,)."""
        return np.asarray(np.mean([run.predictions.y_prob for run in self.runs], axis=0))

    @property
    def accuracies(self) -> list[float]:
        """Accuracy of each run, between 0 and 1."""
        return [float(accuracy) for accuracy in self.is_correct.mean(axis=1)]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Arms evaluated on the same photos. The others are compared with the first."""

    arms: list[Arm]
    differences: list[Difference]
    """From the first arm to each of the others, in order."""
    split: str
    manifest: Manifest

    @property
    def note(self) -> str | None:
        """The note to show with every result, if the images are synthetic."""
        return synthetic_note(self.manifest)

    @property
    def only_seeds_differ(self) -> bool:
        """Whether the arms differ only in their seeds: then any difference between them is luck."""
        return all(not self.changed_settings(arm) for arm in self.arms[1:])

    @property
    def caveat(self) -> str | None:
        """What the figures do not account for, if anything."""
        if len({arm.runs[0].config.training.seed for arm in self.arms}) == 1 and self.only_seeds_differ:
            return "These runs have equal settings and seeds: any difference comes from different machines or versions."
        if self.only_seeds_differ:
            return "These runs differ only in their seeds: the difference shows how much of a result is luck."
        if any(len(arm.runs) == 1 for arm in self.arms):
            return "Another seed may change the result of a single training: train each with several seeds."
        return None

    @property
    def paths(self) -> Sequence[str]:
        """The photos, in the order of every array."""
        return self.arms[0].runs[0].predictions.paths

    def changed_settings(self, arm: Arm) -> list[tuple[str, object, object]]:
        """The settings and extra inputs in which an arm differs from the first: key, the first's value, the arm's."""
        # The runs of an arm differ only in their seeds, so the first run of each stands for it.
        reference, changed = self.arms[0].runs[0], arm.runs[0]
        extra_inputs = [(key, reference.extra_inputs[key], changed.extra_inputs[key]) for key in EXTRA_INPUTS]
        return [
            *differences(reference.config, _with_seed_of(changed.config, reference.config)),
            *(row for row in extra_inputs if row[1] != row[2]),
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON values: every arm, every difference, and the sentences."""
        first, *others = self.arms
        return {
            "split": self.split,
            "n": len(self.paths),
            "note": self.note,
            "seeds_alone": self.only_seeds_differ,
            "caveat": self.caveat,
            "data_digest": self.manifest.digest,
            "sides": [
                {
                    "name": arm.name,
                    "runs": [str(run.run.folder) for run in arm.runs],
                    "models": [run.model for run in arm.runs],
                    "accuracies": arm.accuracies,
                }
                for arm in self.arms
            ],
            "differences": [
                {
                    "from": first.name,
                    "to": arm.name,
                    "accuracy": asdict(difference.accuracy),
                    "only_first": difference.only_first,
                    "only_second": difference.only_second,
                    "p_value": difference.p_value,
                    "clear": difference.clear,
                    "headline": headline(first.name, arm.name, difference),
                    "sentence": difference_in_words(first.name, arm.name, difference),
                    "settings": [[key, str(was), str(now)] for key, was, now in self.changed_settings(arm)],
                }
                for arm, difference in zip(others, self.differences, strict=True)
            ],
        }


def compare_runs(
    folders: Sequence[Path], split: str = "validation", class_folders: Mapping[str, str] | None = None
) -> Comparison:
    """Compare finished runs with the first one.

    Runs that differ only in their seeds are one arm. If there is no other arm, each of them is an arm of its own: this
    shows how much of a result is luck.

    Args:
        folders: Run folders, at least two; the others are compared with the arm of the first.
        split: The split to compare on, `validation` or `train`.
        class_folders: The class that each of these class names stands for, if the runs learned from folders that were
            named differently.

    Raises:
        UsageError: if there are fewer than two folders or the same one twice, if a run has no predictions for the
            split, or if `class_folders` gives both classes of a run one name.
        ModelError: if a folder is not a finished run.
        DataError: if the runs were not trained on the same photos, or not evaluated on the same ones.
    """
    if len(folders) < 2:
        hint = "`dogvscat runs` lists them."
        raise UsageError("expected at least two run folders to compare, received one", hint=hint)
    # Resolved: the same folder may be given by two different paths.
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("the same run folder is given twice")
    mapped = {name_key(folder): name for folder, name in (class_folders or {}).items()}
    first = read_run(Run(folders[0]), split, mapped)
    mapped = {name_key(name): name for name in first.manifest.class_names} | mapped  # `Fox` and `fox ` are one class
    others = [read_run(Run(folder), split, mapped) for folder in folders[1:]]
    for run in others:
        _refuse_incomparable(first, run, split)
    arms = _group_into_arms([first, *(_in_order_of(first, run) for run in others)])
    pairs = [paired_difference(arms[0].is_correct, arm.is_correct) for arm in arms[1:]]
    # With several arms, the best of them would look good by luck: each p-value is corrected for their number.
    p_values = holm([difference.p_value for difference in pairs])
    corrected = [replace(pair, p_value=p_value or 0.0) for pair, p_value in zip(pairs, p_values, strict=True)]
    return Comparison(arms, corrected, split, first.manifest)


def _refuse_incomparable(first: EvaluatedRun, second: EvaluatedRun, split: str) -> None:
    """Make sure that two runs learned from the same photos, and were evaluated on the same photos and labels."""
    folders = f"{first.run.folder} and {second.run.folder}"
    if first.manifest.class_names != second.manifest.class_names:
        names = ", ".join(first.manifest.class_names), ", ".join(second.manifest.class_names)
        hint = 'If these are the same two classes, add --class-names "CLASS=NAME,CLASS=NAME".'
        raise DataError(f"{folders} learned different classes: {names[0]} and {names[1]}", hint=hint)
    # Are these the same photos at all? The digest covers the contents of all of them.
    digests = [run.environment["data_digest"] for run in (first, second)]
    if digests[0] != digests[1]:
        message = f"{folders} learned from different photos: data digests {digests[0][:16]} and {digests[1][:16]}"
        raise DataError(message, hint="Only runs on the same photos can be compared photo by photo.")
    # Then, were they split in the same way? A corrected label (`train --relabel`) only changes the training split.
    first_photos, second_photos = (_labeled_photos(run) for run in (first, second))
    if first_photos != second_photos:
        seeds = [run.config.data.split_seed for run in (first, second)]
        only_first, only_second = len(first_photos - second_photos), len(second_photos - first_photos)
        counts = f"{only_first:,} only in the first run, {only_second:,} only in the second"
        message = f"{folders} were split differently: of the {split} photos, {counts}"
        raise DataError(
            f"{message} (data.split_seed {seeds[0]} and {seeds[1]})", hint="Train both with the same split."
        )


def _labeled_photos(run: EvaluatedRun) -> set[tuple[tuple[str, int], int]]:
    return set(zip(run.photo_ids, run.predictions.y_true.tolist(), strict=True))


def _in_order_of(first: EvaluatedRun, run: EvaluatedRun) -> EvaluatedRun:
    """A run with its predictions in the order of the first one's: then the arrays of both can be compared."""
    predictions = run.predictions
    index_of = {photo_id: index for index, photo_id in enumerate(run.photo_ids)}
    order = np.array([index_of[photo_id] for photo_id in first.photo_ids])
    columns = (predictions.y_true, predictions.y_prob, predictions.y_pred, predictions.unsure)
    arrays = (column[order] for column in columns)
    reordered = Predictions(predictions.split, predictions.class_names, first.predictions.paths, *arrays)
    return replace(run, predictions=reordered)


def _group_into_arms(runs: Sequence[EvaluatedRun]) -> list[Arm]:
    groups: list[list[EvaluatedRun]] = []
    for run in runs:
        for group in groups:
            # The same training given twice, in two folders, is not a second seed: it becomes an arm of its own.
            is_new_seed = run.config.training.seed not in {member.config.training.seed for member in group}
            if is_new_seed and _differ_only_in_seed(run, group[0]):
                group.append(run)
                break
        else:
            groups.append([run])
    if all(_differ_only_in_seed(group[0], runs[0]) for group in groups):  # then the seeds are compared
        groups = [[run] for run in runs]
    # An arm is called after its recipe if it has several runs and no other arm has the recipe, else after its folder.
    recipes = [group[0].config.recipe for group in groups]
    names = [
        group[0].run.folder.resolve().name if len(group) == 1 or recipes.count(recipe) > 1 else recipe
        for group, recipe in zip(groups, recipes, strict=True)
    ]
    if len(set(names)) < len(names):  # folders of the same name in different places
        names = [str(group[0].run.folder) for group in groups]
    counts = [f" ({len(group)} seeds)" if len(group) > 1 else "" for group in groups]
    return [Arm(name + count, group) for name, count, group in zip(names, counts, groups, strict=True)]


def _differ_only_in_seed(first: EvaluatedRun, second: EvaluatedRun) -> bool:
    """Whether two runs have the same settings and inputs, apart from the seed."""
    same_inputs = first.extra_inputs == second.extra_inputs
    return same_inputs and _with_seed_of(second.config, first.config) == first.config


def _with_seed_of(config: Config, reference: Config) -> Config:
    """A configuration with the training seed of another one."""
    return with_settings(config, [f"training.seed={reference.training.seed}"])
