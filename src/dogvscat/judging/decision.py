"""From a network's logit to an answer: temperature, threshold, and where the answer is "unsure".

It needs only NumPy, on purpose: training and prediction both use this code to apply what `calibration.py` fits.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Logits(NamedTuple):
    """The outputs of a network for some images."""

    positive: np.ndarray
    """float64 (n,), log-odds of the positive class."""
    neither: np.ndarray | None = None
    """float64 (n,), log-odds of showing neither class, or None where the network has no such output."""


@dataclass(frozen=True)
class Decision:
    """How logits become probabilities and probabilities become answers.

    Args:
        temperature: Logits are divided by it; above 1 it makes the network less confident.
        threshold: The answer is the positive class if its probability is at least this.
        unsure_low: The answer is "unsure" strictly above this probability ...
        unsure_high: ... and strictly below this one. With equal bounds no answer is too close to call.
        neither_limit: The answer is "unsure" where the probability of showing neither class is above this one.

    Raises:
        ValueError: if a number lies outside of its range.
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
        """Calibrated probability of the positive class, float64 (n,), from log-odds (n,)."""
        return sigmoid(np.asarray(logits, dtype=np.float64) / self.temperature)

    def predict(self, y_prob: np.ndarray) -> np.ndarray:
        """The predicted class, int64 (n,) of 0 and 1, also where the answer is given as "unsure"."""
        return np.asarray(np.asarray(y_prob) >= self.threshold, dtype=np.int64)

    def is_unsure(self, y_prob: np.ndarray, neither_logits: np.ndarray | None = None) -> np.ndarray:
        """Whether the answer is too close to call or the image seems to show neither class: bool (n,).

        Args:
            y_prob: float64 (n,), calibrated probability of the positive class.
            neither_logits: float64 (n,), log-odds of showing neither, or None where the network has no such output.
        """
        # Strictly between: with equal bounds, no probability is close.
        close = (np.asarray(y_prob) > self.unsure_low) & (np.asarray(y_prob) < self.unsure_high)
        return close if neither_logits is None else close | (sigmoid(neither_logits) > self.neither_limit)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (n,), of log-odds (n,)."""
    logits = np.asarray(logits, dtype=np.float64)
    # 1 / (1 + exp(-x)) for positive x, and exp(x) / (1 + exp(x)) for the others: equal, and neither overflows.
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))
