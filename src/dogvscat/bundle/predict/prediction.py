"""What there is to say about one photo: a prediction, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dogvscat.bundle.answer_rules import AnswerRules
from dogvscat.judging.decision import Logits, sigmoid
from dogvscat.labels import NEITHER, UNSURE
from dogvscat.text import html_table


@dataclass(frozen=True)
class Prediction:
    """The prediction for one photo."""

    path: str
    """As given; for a photo without a path, `picture` and its number from 0, such as `picture 3`."""
    label: str
    """A class name, or `unsure`."""
    probabilities: dict[str, float]
    """By class name; they add up to 1."""
    neither: float | None = None
    """Probability that the photo shows neither class, or None where the network has no such output. It is not
    calibrated: it depends on how common such photos are."""
    reason: str | None = None
    """Why the label is `unsure`: `close`, the probability is too near one half; `neither`, the photo seems to show
    neither class; `at_chance`, the network is no better than guessing. None where the label is a class."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        neither = {} if self.neither is None else {NEITHER: self.neither}
        return {
            "path": self.path,
            "label": self.label,
            "reason": self.reason,
            "probabilities": self.probabilities,
            **neither,
        }

    def _repr_html_(self) -> str:
        """As notebooks show it: a row with the answer and the probabilities."""
        answer = self.label if self.reason is None else f"{self.label} ({self.reason})"
        neither = {} if self.neither is None else {NEITHER: self.neither}
        probabilities = {**self.probabilities, **neither}
        percentages = [f"{probability:.1%}" for probability in probabilities.values()]
        return html_table(("photo", "answer", *probabilities), [(self.path, answer, *percentages)])


@dataclass(frozen=True)
class Failure:
    """Why one photo has no prediction."""

    path: str
    code: str
    """Code of the ImageError, such as `unreadable`."""
    message: str
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        hint = {} if self.hint is None else {"hint": self.hint}
        return {"path": self.path, "error": {"code": self.code, "message": self.message, **hint}}


def predictions_of(rules: AnswerRules, logits: Logits, names: Sequence[str]) -> list[Prediction]:
    """The predictions for some images.

    Args:
        rules: Of the bundle.
        logits: Calibrated, float64 (num_images,) each.
        names: The `path` of each prediction.
    """
    decision, (negative, positive) = rules.decision(), rules.class_names
    y_prob = decision.probabilities(logits.positive)
    y_pred, reasons = decision.predict(y_prob), decision.unsure_reasons(y_prob, logits.neither).tolist()
    neither_probs = [None] * len(y_prob) if logits.neither is None else sigmoid(logits.neither).tolist()
    columns = zip(names, y_pred, reasons, y_prob.tolist(), neither_probs, strict=True)
    return [
        Prediction(
            name,
            UNSURE if reason else rules.class_names[label],
            {negative: 1.0 - probability, positive: probability},
            neither,
            reason or None,
        )
        for name, label, reason, probability, neither in columns
    ]
