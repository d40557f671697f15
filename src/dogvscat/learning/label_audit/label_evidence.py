"""Labels that are probably wrong, and pictures that no network can tell: the evidence of out-of-fold predictions."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogvscat.config import Config
from dogvscat.judging.intervals import MetricValue, wilson
from dogvscat.learning.label_audit.out_of_fold import OutOfFold, predict_out_of_fold
from dogvscat.photos.issues import Issue
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.relabel import LEAVE_OUT, Correction, write_corrections
from dogvscat.photos.sources import PhotoSource
from dogvscat.stderr import Reporter

NEITHER_SHARE = 0.005
"""Most of the pictures that are listed as ones that cannot be told: what a person can look through."""
NEITHER_CONFIDENCE = 0.6
"""And only if neither class gets a larger probability than this."""


@dataclass(frozen=True)
class LabelEvidence:
    """What was found, and what is proposed about it."""

    issues: list[Issue]
    """Of the kinds `label_suspect`, likeliest first, then `neither_suspect`, nearest to a half first."""
    corrections: list[Correction]
    """One for each issue, in the same order."""
    agreement: MetricValue
    """Share of the pictures whose likelier class, out of fold, is the one they are filed under."""
    weak: bool
    """Whether that is no better than always naming the commoner class; suspicions are then worth nothing."""


def judge_labels(source: PhotoSource, config: Config, folds: int, folder: Path, report: Reporter) -> LabelEvidence:
    """Train once a fold, find doubtful labels, and propose corrections.

    Args:
        source: The photos; none is changed.
        config: As `fold_config` gives it.
        folds: How many.
        folder: Gets `folds/` and `relabel.csv`. A relabel.csv that a person has edited is kept.
        report: Told what happens.

    Raises:
        DogvscatError: as `make_manifest` and `predict_out_of_fold`.
    """
    answers = predict_out_of_fold(source, make_manifest(source, config.data), config, folds, folder / "folds", report)
    evidence = find_evidence(answers)
    if evidence.weak:
        report("These networks learned next to nothing, so what they suspect means nothing. Try more photos or epochs.")
    table = folder / "relabel.csv"
    if table.exists():
        report(f"{table} is there already, perhaps edited, and is kept; delete it to have it written anew.")
    else:
        write_corrections(table, evidence.corrections)
    return evidence


def find_evidence(answers: OutOfFold) -> LabelEvidence:
    """Doubtful labels: those that confident learning finds, and pictures whose probability lies near a half.

    A picture that cannot be told is not called wrongly filed as well.

    Args:
        answers: Of at least one picture of each class.
    """
    untold = _cannot_be_told(answers.y_prob)
    wrong = [index for index in _probably_wrong(answers.y_true, answers.y_prob) if index not in untold]
    found = [(index, "label_suspect") for index in wrong] + [(index, "neither_suspect") for index in untold]
    positive = answers.y_true == 1
    agreement = wilson(int(np.sum((answers.y_prob >= 0.5) == positive)), len(positive))
    commoner = max(np.mean(positive), np.mean(~positive))
    return LabelEvidence(
        [_issue(answers, index, kind) for index, kind in found],
        [_correction(answers, index, kind) for index, kind in found],
        agreement,
        weak=bool(agreement.low is None or agreement.low <= commoner),
    )


def _probably_wrong(y_true: np.ndarray, y_prob: np.ndarray) -> list[int]:
    """Indices of labels that are probably wrong, that with the smallest probability of its own label first.

    Source: Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels, JAIR 2021
    (arXiv 1911.00068), pruned by noise rate.
    """
    from cleanlab.filter import find_label_issues  # here alone: it loads pandas and half of scikit-learn

    both = np.column_stack([1 - y_prob, y_prob])  # (N, 2)
    ranked = find_label_issues(y_true, both, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(index) for index in ranked]


def _cannot_be_told(y_prob: np.ndarray) -> list[int]:
    """Indices of the NEITHER_SHARE of pictures whose probability is nearest to a half, nearest first."""
    confidence = np.maximum(y_prob, 1 - y_prob)
    nearest = np.argsort(confidence, kind="stable")[: math.ceil(NEITHER_SHARE * len(y_prob))]
    return [int(index) for index in nearest if confidence[index] < NEITHER_CONFIDENCE]


def _issue(answers: OutOfFold, index: int, kind: str) -> Issue:
    row = answers.rows[index]
    other, probability = _other(answers, index)
    detail = f"filed as {row.label}, out-of-fold probability of {other} {probability:.2f}"
    return Issue(row.path, kind, row.group, detail)


def _correction(answers: OutOfFold, index: int, kind: str) -> Correction:
    row = answers.rows[index]
    other, probability = _other(answers, index)
    if kind == "neither_suspect":
        return Correction(row.path, row.sha256, row.label, LEAVE_OUT, "")
    return Correction(row.path, row.sha256, row.label, other, f"{probability:.4f}")


def _other(answers: OutOfFold, index: int) -> tuple[str, float]:
    """The class that a picture is not filed under, and the probability it was given."""
    label, positive = int(answers.y_true[index]), float(answers.y_prob[index])
    return answers.class_names[1 - label], 1 - positive if label else positive
