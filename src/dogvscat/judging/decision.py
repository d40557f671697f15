"""From a network's logit to an answer: calibration, where the answer is "unsure", and why.

It needs only NumPy, on purpose: training and prediction both use this code to apply what `calibration.py` fits.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dogvscat.labels import AT_CHANCE, CLOSE, NEITHER

THRESHOLD = 0.5
"""The answer is the positive class if its probability is at least this. The threshold is the same for every network: if
one leans towards a class, the bias of its calibration corrects that."""
WIDEST_BAND = (0.001, 0.999)
"""The widest band that a calibration may choose: an answer with 99.9% is never too close to call."""


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
        bias: Added to the divided logits; above 0 it moves all answers towards the positive class.
        unsure_low: The answer is "unsure" strictly above this probability ...
        unsure_high: ... and strictly below this one. With equal bounds no answer is too close to call.
        neither_limit: The answer is "unsure" where the probability of showing neither class is above this one.
        at_chance: Every answer is "unsure", because the network is no better than guessing.

    Raises:
        ValueError: if a number lies outside of its range.
    """

    temperature: float = 1.0
    bias: float = 0.0
    unsure_low: float = THRESHOLD
    unsure_high: float = THRESHOLD
    neither_limit: float = 1.0
    at_chance: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be a positive number, received {self.temperature}")
        if not np.isfinite(self.bias):
            raise ValueError(f"bias must be a finite number, received {self.bias}")
        if not 0 <= self.unsure_low <= THRESHOLD <= self.unsure_high <= 1:
            raise ValueError(
                f"expected 0 <= unsure_low <= {THRESHOLD} <= unsure_high <= 1, received {self.unsure_low} and "
                f"{self.unsure_high}"
            )
        if not 0 <= self.neither_limit <= 1:
            raise ValueError(f"neither_limit must lie between 0 and 1, received {self.neither_limit}")

    def calibrate(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, float64, from log-odds of the same shape."""
        return np.asarray(logits, dtype=np.float64) / self.temperature + self.bias

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 (n,), from log-odds (n,)."""
        return sigmoid(self.calibrate(logits))

    def predict(self, y_prob: np.ndarray) -> np.ndarray:
        """The predicted class, int64 (n,) of 0 and 1, also where the answer is given as "unsure"."""
        return np.asarray(np.asarray(y_prob) >= THRESHOLD, dtype=np.int64)

    def unsure_reasons(self, y_prob: np.ndarray, neither_logits: np.ndarray | None = None) -> np.ndarray:
        """Why each answer is "unsure": `at_chance`, `neither` or `close`, the first that applies, or empty if it is
        not: str (n,).

        Args:
            y_prob: float64 (n,), calibrated probability of the positive class.
            neither_logits: float64 (n,), log-odds of showing neither, or None where the network has no such output.
        """
        return self.reasons_for(y_prob, None if neither_logits is None else sigmoid(neither_logits))

    def reasons_for(self, y_prob: np.ndarray, neither_prob: np.ndarray | None) -> np.ndarray:
        """Like `unsure_reasons`, from the probability of showing neither instead of its log-odds."""
        y_prob = np.asarray(y_prob)
        # Strictly between: with equal bounds, no probability is close.
        close = (y_prob > self.unsure_low) & (y_prob < self.unsure_high)
        nothing = np.zeros(len(y_prob), dtype=bool)
        shows_neither = nothing if neither_prob is None else np.asarray(neither_prob) > self.neither_limit
        reasons = np.select([nothing | self.at_chance, shows_neither, close], [AT_CHANCE, NEITHER, CLOSE], "")
        return np.asarray(reasons)

    def is_unsure(self, y_prob: np.ndarray, neither_logits: np.ndarray | None = None) -> np.ndarray:
        """Whether there is a reason to answer "unsure": bool (n,); arguments as for `unsure_reasons`."""
        return np.asarray(self.unsure_reasons(y_prob, neither_logits) != "")


def is_at_chance(accuracy_low: float | None, majority_share: float | None) -> bool:
    """Whether a network may be no better than guessing: its accuracy is not clearly above that of always naming the
    majority class.

    Args:
        accuracy_low: Lower end of the 95% interval of its accuracy; None if it was not measured.
        majority_share: Share of the majority class among the same images; None if it was not measured.

    Returns:
        False if either was not measured: nothing is known then.
    """
    return accuracy_low is not None and majority_share is not None and accuracy_low <= majority_share


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (n,), of log-odds (n,)."""
    logits = np.asarray(logits, dtype=np.float64)
    # 1 / (1 + exp(-x)) for positive x, and exp(x) / (1 + exp(x)) for the others: equal, and neither overflows.
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))
