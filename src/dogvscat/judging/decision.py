"""From a network's raw answer to a word: temperature, threshold and the band in which the answer is "unsure".

Light on purpose (NumPy only): what `calibration.py` fits is applied by this code alone, in training and in prediction.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Decision:
    """How logits become probabilities and probabilities become answers.

    Args:
        temperature: Logits are divided by it; above 1 it makes the network less confident.
        threshold: Probability of the positive class from which on (itself included) the answer is positive.
        unsure_low: The answer is "unsure" strictly above this probability ...
        unsure_high: ... and strictly below this one. Equal bounds: never unsure.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    unsure_low: float = 0.5
    unsure_high: float = 0.5

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be a positive number, received {self.temperature}")
        if not 0 <= self.unsure_low <= self.threshold <= self.unsure_high <= 1:
            raise ValueError(
                "expected 0 <= unsure_low <= threshold <= unsure_high <= 1, received "
                f"{self.unsure_low}, {self.threshold}, {self.unsure_high}"
            )

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 [N], for log-odds [N]."""
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature
        small = np.exp(-np.abs(scaled))  # never overflows
        return np.where(scaled >= 0, 1.0, small) / (1.0 + small)

    def predict(self, y_prob: np.ndarray) -> np.ndarray:
        """The class decided on, int64 [N] of 0 and 1, also where the answer is given as "unsure"."""
        return (np.asarray(y_prob) >= self.threshold).astype(np.int64)

    def is_unsure(self, y_prob: np.ndarray) -> np.ndarray:
        """Whether the answer is too close to call, bool [N]."""
        return (np.asarray(y_prob) > self.unsure_low) & (np.asarray(y_prob) < self.unsure_high)
