"""Finds labels that are probably wrong, and photos that may show neither class.

The evidence is the predictions of networks that were not trained on the photos they predict.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.config import Config, DataConfig
from dogvscat.judging.decision import THRESHOLD, is_at_chance
from dogvscat.judging.intervals import MetricValue, as_percent, wilson
from dogvscat.labels import LEAVE_OUT
from dogvscat.learning.label_audit.model_predictions import predict_with_model
from dogvscat.learning.label_audit.out_of_fold import OutOfFoldPredictions, predict_out_of_fold
from dogvscat.photos.issues import Issue
from dogvscat.photos.label_review import SUSPECTS_FILE
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.relabel import Correction, write_corrections
from dogvscat.stderr import Reporter

AMBIGUOUS_SHARE = 0.005
"""At most this share of the photos is listed as ambiguous, those nearest to a probability of one half: as many as a
person can look through."""
AMBIGUOUS_CONFIDENCE = 0.6
"""A photo is listed as ambiguous only if both classes have a probability below this."""


@dataclass(frozen=True)
class LabelEvidence:
    """The doubtful labels, and a proposed correction of each."""

    issues: list[Issue]
    """Kind `label_suspect`, the least probable label first, then `neither_suspect`, the nearest to one half first."""
    corrections: list[Correction]
    """One for each issue, in the same order."""
    agreement: MetricValue
    """Share of the photos whose more probable class is the one they are filed under."""
    majority_share: float
    """Share of the photos that are filed under the majority class."""

    @property
    def weak(self) -> bool:
        """Whether these networks are no better than guessing; they suspect no label then."""
        return is_at_chance(self.agreement.low, self.majority_share)


def audit_labels(source: PhotoSource, config: Config, num_folds: int, folder: Path, report: Reporter) -> LabelEvidence:
    """Train one network per fold, find doubtful labels, and propose corrections.

    Args:
        source: The photos; they are not changed.
        config: From `fold_config`.
        num_folds: Number of folds.
        folder: Gets `folds/` and, unless the networks are too weak, `relabel.csv`. A relabel.csv that exists is kept,
            since a person may have edited it.
        report: Receives messages about the progress.

    Raises:
        DogvscatError: as `make_manifest` and `predict_out_of_fold`.
    """
    manifest = make_manifest(source, config.data)
    predictions = predict_out_of_fold(source, manifest, config, num_folds, folder / "folds", report)
    return _propose(predictions, folder, report)


def audit_labels_with_model(source: PhotoSource, model: Path, folder: Path, report: Reporter) -> LabelEvidence:
    """Find doubtful labels with a model that is trained already, and propose corrections.

    Args:
        source: The photos; they are not changed.
        model: A run folder, a bundle folder, or the name of a bundled model.
        folder: Gets `relabel.csv`, as from `audit_labels`.
        report: Receives messages about the progress.

    Raises:
        DogvscatError: as `make_manifest` and `predict_with_model`.
    """
    manifest = make_manifest(source, DataConfig())
    return _propose(predict_with_model(source, manifest, model, report), folder, report)


def _propose(predictions: OutOfFoldPredictions, folder: Path, report: Reporter) -> LabelEvidence:
    """The evidence; it is written to relabel.csv, unless the networks are too weak."""
    evidence = find_evidence(predictions.calibrated())
    table = folder / "relabel.csv"
    if evidence.weak:
        report(
            f"No label is suspected, because these networks are no better than guessing: they agree with "
            f"{as_percent(evidence.agreement)} of {evidence.agreement.n:,} labels, and the majority class is "
            f"{evidence.majority_share:.1%} of them. Try more photos or epochs, or --model best for cats and dogs."
        )
    elif table.exists():
        report(f"{table} exists already and may have been edited, so it is kept. Delete it to get a new one.")
    else:
        with atomic.wrap_write_errors(folder):
            (folder / SUSPECTS_FILE).unlink(missing_ok=True)  # else proposals would look like decisions
        write_corrections(table, evidence.corrections)
    return evidence


def find_evidence(predictions: OutOfFoldPredictions) -> LabelEvidence:
    """Doubtful labels: those that confident learning finds, and photos whose probability lies near one half.

    An ambiguous photo is not also reported as wrongly filed. Networks that are no better than guessing suspect nothing.

    Args:
        predictions: Calibrated, of at least one photo of each class.
    """
    is_positive = predictions.y_true == 1
    agreement = wilson(int(np.sum((predictions.y_prob >= THRESHOLD) == is_positive)), len(is_positive))
    majority_share = float(max(np.mean(is_positive), np.mean(~is_positive)))
    if is_at_chance(agreement.low, majority_share):
        return LabelEvidence([], [], agreement, majority_share)
    ambiguous = _find_ambiguous(predictions.y_prob)
    wrong = [index for index in _find_wrong(predictions.y_true, predictions.y_prob) if index not in ambiguous]
    suspects = [(index, "label_suspect") for index in wrong] + [(index, "neither_suspect") for index in ambiguous]
    return LabelEvidence(
        [_make_issue(predictions, index, kind) for index, kind in suspects],
        [_make_correction(predictions, index, kind) for index, kind in suspects],
        agreement,
        majority_share,
    )


def _find_wrong(y_true: np.ndarray, y_prob: np.ndarray) -> list[int]:
    """Indices of labels that are probably wrong, the one with the smallest probability of its own label first.

    Source: Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels, JAIR 2021
    (arXiv 1911.00068), pruned by noise rate.
    """
    from cleanlab.filter import find_label_issues  # imported only here: it loads pandas and half of scikit-learn

    class_probs = np.column_stack([1 - y_prob, y_prob])  # (num_photos, 2)
    indices = find_label_issues(y_true, class_probs, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(index) for index in indices]


def _find_ambiguous(y_prob: np.ndarray) -> list[int]:
    """Indices of ambiguous photos, the one whose probability is nearest to one half first."""
    confidence = np.maximum(y_prob, 1 - y_prob)
    nearest = np.argsort(confidence, kind="stable")[: math.ceil(AMBIGUOUS_SHARE * len(y_prob))]
    return [int(index) for index in nearest if confidence[index] < AMBIGUOUS_CONFIDENCE]


def _make_issue(predictions: OutOfFoldPredictions, index: int, kind: str) -> Issue:
    row = predictions.rows[index]
    name, probability = _opposite_class(predictions, index)
    detail = f"filed as {row.label}, probability of {name} {probability:.2f}"
    return Issue(row.path, kind, row.group, detail)


def _make_correction(predictions: OutOfFoldPredictions, index: int, kind: str) -> Correction:
    row = predictions.rows[index]
    name, probability = _opposite_class(predictions, index)
    if kind == "neither_suspect":
        return Correction(row.path, row.sha256, row.label, LEAVE_OUT, "")
    return Correction(row.path, row.sha256, row.label, name, f"{probability:.4f}")


def _opposite_class(predictions: OutOfFoldPredictions, index: int) -> tuple[str, float]:
    """Name and probability of the class that a photo is not filed under."""
    label, y_prob = int(predictions.y_true[index]), float(predictions.y_prob[index])
    return predictions.class_names[1 - label], 1 - y_prob if label else y_prob
