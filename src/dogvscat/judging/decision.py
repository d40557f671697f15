"""From a network's raw answer to a word: temperature, threshold, and where the answer is "unsure".

Light on purpose (NumPy only): what `calibration.py` fits is applied by this code alone, in training and in prediction.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Logits(NamedTuple):
    """What a network says about some pictures."""

    positive: np.ndarray
    """float64 [N], log-odds of the positive class."""
    neither: np.ndarray | None = None
    """float64 [N], log-odds of showing neither class, or None where the network does not tell."""


@dataclass(frozen=True)
class Decision:
    """How logits become probabilities and probabilities become answers.

    Args:
        temperature: Logits are divided by it; above 1 it makes the network less confident.
        threshold: Probability of the positive class from which on (itself included) the answer is positive.
        unsure_low: The answer is "unsure" strictly above this probability ...
        unsure_high: ... and strictly below this one. Equal bounds: never unsure for being close.
        neither_limit: The answer is "unsure" where the picture shows neither class with a probability above this one.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    unsure_low: float = 0.5
    unsure_high: float = 0.5
    neither_limit: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be a positive number, received {self.temperature}")
        if not 0 <= self.unsure_low <= self.threshold <= self.unsure_high <= 1:
            raise ValueError(
                "expected 0 <= unsure_low <= threshold <= unsure_high <= 1, received "
                f"{self.unsure_low}, {self.threshold}, {self.unsure_high}"
            )
        if not 0 <= self.neither_limit <= 1:
            raise ValueError(f"neither_limit must lie between 0 and 1, received {self.neither_limit}")

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 [N], for log-odds [N]."""
        return sigmoid(np.asarray(logits, dtype=np.float64) / self.temperature)

    def predict(self, y_prob: np.ndarray) -> np.ndarray:
        """The class decided on, int64 [N] of 0 and 1, also where the answer is given as "unsure"."""
        return (np.asarray(y_prob) >= self.threshold).astype(np.int64)

    def is_unsure(self, y_prob: np.ndarray, neither_logits: np.ndarray | None = None) -> np.ndarray:
        """Whether the answer is too close to call or the picture seems to show neither class, bool [N].

        Args:
            y_prob: float64 [N], calibrated probability of the positive class.
            neither_logits: float64 [N], log-odds of showing neither, or None where the network does not tell.
        """
        close = (np.asarray(y_prob) > self.unsure_low) & (np.asarray(y_prob) < self.unsure_high)
        return close if neither_logits is None else close | (sigmoid(neither_logits) > self.neither_limit)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 [N], of log-odds [N]."""
    logits = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(logits))  # never overflows
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)
