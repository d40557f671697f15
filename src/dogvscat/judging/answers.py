"""What a network said about the pictures of one split: the one thing that everything else in this room reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dogvscat.errors import DataError, ModelError
from dogvscat.judging.decision import Decision, Logits
from dogvscat.labels import ClassNames


@dataclass(frozen=True, eq=False)
class Answers:
    """Labels and answers, picture by picture.

    Args:
        split: `train`, `validation`, `test`, or another word for the pictures, such as `all`.
        class_names: Names of the classes 0 and 1; the second is the positive one.
        paths: The pictures, as their source knows them, in the order of the arrays.
        y_true: int64 [N] of 0 and 1, the stored labels.
        y_prob: float64 [N], probability of the positive class.
        y_pred: int64 [N] of 0 and 1, the class decided on.
        unsure: bool [N], whether the answer is given as "unsure".

    Raises:
        DataError: if there is no picture.
        ModelError: if a probability is not a number from 0 to 1.
        ValueError: if the arrays do not fit together.
    """

    split: str
    class_names: ClassNames
    paths: Sequence[str]
    y_true: np.ndarray
    y_prob: np.ndarray
    y_pred: np.ndarray
    unsure: np.ndarray

    def __post_init__(self) -> None:
        shapes = [np.shape(array) for array in (self.y_true, self.y_prob, self.y_pred, self.unsure)]
        if shapes != [(len(self.paths),)] * 4:
            raise ValueError(f"expected four arrays of shape {(len(self.paths),)}, received {shapes}")
        if not len(self.paths):
            raise DataError(
                f"there is no labelled picture to judge in {self.split!r}, expected at least one",
                hint="Check the folder, or see `dogvscat audit` for what was left out.",
            )
        for name, labels in (("y_true", self.y_true), ("y_pred", self.y_pred)):
            if not np.isin(labels, (0, 1)).all():
                raise ValueError(f"expected only 0 and 1 in {name}, received {np.unique(labels).tolist()}")
        check_finite(self.y_prob)
        if np.min(self.y_prob) < 0 or np.max(self.y_prob) > 1:
            raise ModelError(
                f"expected probabilities from 0 to 1, received {np.min(self.y_prob):.3g} to {np.max(self.y_prob):.3g}"
            )

    @classmethod
    def decided(
        cls,
        split: str,
        class_names: ClassNames,
        paths: Sequence[str],
        y_true: np.ndarray,
        logits: Logits,
        decision: Decision,
    ) -> Self:
        """The answers that a decision gives for what a network says."""
        check_finite(logits.positive)
        y_prob = decision.probabilities(logits.positive)
        unsure = decision.is_unsure(y_prob, logits.neither)
        return cls(split, class_names, paths, y_true, y_prob, decision.predict(y_prob), unsure)

    @property
    def n(self) -> int:
        """How many pictures were judged."""
        return len(self.paths)

    def mistakes(self) -> np.ndarray:
        """Indices of the wrong answers, the most confident first, int64 [number of mistakes]."""
        wrong = np.flatnonzero(self.y_pred != self.y_true)
        return wrong[np.argsort(-np.abs(self.y_prob - self.y_true)[wrong], kind="stable")]


def check_finite(answers: np.ndarray) -> None:
    """Refuse answers of a network that diverged.

    Raises:
        ModelError: if any is not a finite number.
    """
    if num_bad := int(np.sum(~np.isfinite(answers))):
        raise ModelError(
            f"the network's answer is not a finite number for {num_bad:,} of {np.size(answers):,} pictures",
            hint="Its training diverged; train again with a smaller training.learning_rate.",
        )
