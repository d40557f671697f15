"""The wrong answers of an epoch on validation photos, the surest first."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dogvscat.learning.data.dataset import Dataset
from dogvscat.photos.splits import VALIDATION
from dogvscat.text import printable

_SHOWN = 12


@dataclass(frozen=True)
class Mistakes:
    """The wrong answers after one epoch."""

    count: int
    total: int
    """Number of validation photos."""
    surest: tuple[dict[str, Any], ...]
    """At most 12: `sample` (index within the validation split), `path`, `label`, `answer` and its `probability`."""


def find_mistakes(dataset: Dataset, logits: np.ndarray) -> Mistakes:
    """The mistakes that logits make on the validation photos.

    Args:
        dataset: With the labels.
        logits: Of the validation photos, float64 (num_images,). The probabilities that follow from them are not
            calibrated: that is done after the last epoch.
    """
    manifest, y_true = dataset.manifest, dataset.images[VALIDATION].y_true
    rows = manifest.of_split(VALIDATION)
    y_pred = (logits >= 0).astype(np.int64)
    wrong = np.flatnonzero(y_pred != y_true)
    surest_first = wrong[np.argsort(-np.abs(logits[wrong]), kind="stable")]
    surest = tuple(
        {
            "sample": int(sample),
            "path": printable(rows[sample].path),
            "label": printable(manifest.class_names[y_true[sample]]),
            "answer": printable(manifest.class_names[y_pred[sample]]),
            "probability": float(1 / (1 + np.exp(-abs(logits[sample])))),
        }
        for sample in surest_first[:_SHOWN]
    )
    return Mistakes(len(wrong), len(y_true), surest)
