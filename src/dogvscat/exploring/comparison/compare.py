"""Finished runs side by side: who is better, by how much, on which pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.config import Config
from dogvscat.errors import DataError, ModelError, UsageError
from dogvscat.exploring.comparison.difference import Difference, paired_difference
from dogvscat.exploring.study.effects import holm
from dogvscat.judging.answers import Answers
from dogvscat.judging.predictions import read_predictions
from dogvscat.learning.data.dataset import synthetic_note
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import Manifest
from dogvscat.settings import changed, differences

_BESIDE = ("relabel_digest", "neither_digest")
"""What a run learned from beside the photos, as environment.json names it: corrections, and photos of neither."""


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """A finished run with its answers about the pictures of one split."""

    run: Run
    config: Config
    environment: Mapping[str, Any]
    answers: Answers
    history: list[dict[str, float]]

    @property
    def beside(self) -> dict[str, str]:
        """First digits of the digest of each of `_BESIDE`, `none` where there was nothing of the kind."""
        return {key: str(self.environment.get(key, "none"))[:16] for key in _BESIDE}


@dataclass(frozen=True, eq=False)
class Side:
    """Runs that differ in nothing but the seed, each with another one."""

    name: str
    runs: list[JudgedRun]

    @property
    def right(self) -> np.ndarray:
        """Whether each run is right about each picture: bool [runs, N]."""
        return np.stack([run.answers.y_true == run.answers.y_pred for run in self.runs])

    @property
    def y_prob(self) -> np.ndarray:
        """Probability of the positive class, the mean over the runs: float64 [N]."""
        return np.mean([run.answers.y_prob for run in self.runs], axis=0)

    @property
    def accuracies(self) -> list[float]:
        """Of each run."""
        return [float(share) for share in self.right.mean(axis=1)]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Sides judged on the same pictures; the first is what the others are compared with."""

    sides: list[Side]
    differences: list[Difference]
    """From the first side to each of the others, in order."""
    split: str
    manifest: Manifest

    @property
    def note(self) -> str | None:
        """What must be seen beside every result, if anything."""
        return synthetic_note(self.manifest)

    @property
    def seeds_alone(self) -> bool:
        """Whether the sides differ in nothing but their seeds: then what is found is luck."""
        return all(not self.settings(side) for side in self.sides[1:])

    @property
    def caveat(self) -> str | None:
        """What the figures do not know of, if anything."""
        if len({side.runs[0].config.training.seed for side in self.sides}) == 1 and self.seeds_alone:
            return "These have equal settings and seeds: what is found here comes from other machines or versions."
        if self.seeds_alone:
            return "These differ in their seeds alone: what is found here is how much luck is in one training."
        if any(len(side.runs) == 1 for side in self.sides):
            return "A side with one training may come out otherwise with another seed: train each with several."
        return None

    @property
    def paths(self) -> Sequence[str]:
        """The pictures, in the order of every array."""
        return self.sides[0].runs[0].answers.paths

    def settings(self, side: Side) -> list[tuple[str, object, object]]:
        """In what a side differs from the first, settings and what was learned beside: key, the first's, the side's."""
        first, other = self.sides[0].runs[0], side.runs[0]
        beside = [(key, first.beside[key], other.beside[key]) for key in _BESIDE]
        return [
            *differences(first.config, _unseeded(other.config, first.config)),
            *(row for row in beside if row[1] != row[2]),
        ]


def compare_runs(folders: Sequence[Path], split: str = "validation") -> Comparison:
    """Compare finished runs; those that differ in their seeds alone are one side, unless there is no other: then each
    is a side of its own, which shows how much luck is in one run.

    Args:
        folders: Run folders, at least two; the first one's side is what the others are compared with.
        split: Which pictures judge, `validation` or `train`.

    Raises:
        UsageError: if there are fewer than two, or the same one twice.
        ModelError: if one is no finished run.
        DataError: if they were trained on other photos, or judged on other pictures.
    """
    if len(folders) < 2:
        raise UsageError(
            "expected at least two run folders to compare, received one", hint="`dogvscat runs` lists them."
        )
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("the same run folder is given twice")
    runs = [Run(folder) for folder in folders]
    manifest = runs[0].load_manifest()
    judged = [_judged(run, split) for run in runs]
    for other in judged[1:]:
        _refuse_others(judged[0], other, split)
    sides = _sides([judged[0], *(_in_order(run, judged[0]) for run in judged[1:])])
    found = [paired_difference(sides[0].right, side.right) for side in sides[1:]]
    corrected = holm([difference.p_value for difference in found])
    found = [replace(one, p_value=p_value or 0.0) for one, p_value in zip(found, corrected, strict=True)]
    return Comparison(sides, found, split, manifest)


def _judged(run: Run, split: str) -> JudgedRun:
    config = run.load_config()
    if not run.predictions_file.exists():
        hint = f"Go on with: dogvscat train --resume {run.folder}"
        raise ModelError(f"{run.folder} is not finished: it has no {run.predictions_file.name}", hint=hint)
    answers = read_predictions(run.predictions_file)
    if split not in answers:
        raise UsageError(f"{run.predictions_file} has no split {split!r}, it has {', '.join(answers)}")
    return JudgedRun(run, config, run.load_environment(), answers[split], run.load_history())


def _refuse_others(first: JudgedRun, other: JudgedRun, split: str) -> None:
    one, two = first.run.folder, other.run.folder
    digests = [run.environment["data_digest"] for run in (first, other)]
    if digests[0] != digests[1]:
        message = f"{one} and {two} learned from other photos: data digests {digests[0][:16]} and {digests[1][:16]}"
        raise DataError(message, hint="Only runs on the same photos can be compared picture by picture.")
    known, received = (_labelled(run.answers) for run in (first, other))
    if known != received:
        seeds = [run.config.data.split_seed for run in (first, other)]
        counts = f"{len(known - received):,} are judged in the first alone, {len(received - known):,} in the second"
        message = f"{one} and {two} were split otherwise: of the {split} pictures {counts}"
        raise DataError(f"{message} (data.split_seed {seeds[0]} and {seeds[1]})", hint="Train both on one split.")


def _labelled(answers: Answers) -> set[tuple[str, int]]:
    return set(zip(answers.paths, answers.y_true.tolist(), strict=True))


def _in_order(run: JudgedRun, first: JudgedRun) -> JudgedRun:
    """The same run with its answers in the order of another one's."""
    answers = run.answers
    place = {path: index for index, path in enumerate(answers.paths)}
    order = np.array([place[path] for path in first.answers.paths])
    arrays = (array[order] for array in (answers.y_true, answers.y_prob, answers.y_pred, answers.unsure))
    return replace(run, answers=Answers(answers.split, answers.class_names, first.answers.paths, *arrays))


def _sides(runs: Sequence[JudgedRun]) -> list[Side]:
    grouped: list[list[JudgedRun]] = []
    for run in runs:
        for members in grouped:
            another_seed = run.config.training.seed not in {member.config.training.seed for member in members}
            if another_seed and _alike(run, members[0]):
                members.append(run)
                break
        else:
            grouped.append([run])
    if all(_alike(members[0], runs[0]) for members in grouped):  # nothing but seeds differs: they are compared
        grouped = [[run] for run in runs]
    recipes = [members[0].config.recipe for members in grouped]
    names = [
        members[0].run.folder.resolve().name if len(members) == 1 or recipes.count(recipe) > 1 else recipe
        for members, recipe in zip(grouped, recipes, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [str(members[0].run.folder) for members in grouped]
    seeds = [f" ({len(members)} seeds)" if len(members) > 1 else "" for members in grouped]
    return [Side(name + more, members) for name, more, members in zip(names, seeds, grouped, strict=True)]


def _alike(run: JudgedRun, other: JudgedRun) -> bool:
    """Whether two runs differ in their seeds at most."""
    return run.beside == other.beside and _unseeded(run.config, other.config) == other.config


def _unseeded(config: Config, like: Config) -> Config:
    """A configuration with the training seed of another one."""
    return changed(config, [f"training.seed={like.training.seed}"])
