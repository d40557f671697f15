"""What a bundle's card says about answers: class names, image size, where answers are unsure, and warnings.

This part of a card is read without pydantic, which takes longer to import than an answer takes to compute. It does not
check anything: card.py does that, before a bundle is first used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dogvscat.judging.cascade import Margins
from dogvscat.judging.decision import THRESHOLD, Decision, is_at_chance
from dogvscat.labels import UNSURE, ClassNames

SYNTHETIC_WARNING = "This network learned from drawings, not photographs: its answers about photographs mean nothing."


@dataclass(frozen=True)
class AnswerRules:
    """How the logits of a bundle's graph become answers. `Card` and `Provenance` explain the fields."""

    class_names: ClassNames
    image_size: int
    unsure_low: float
    unsure_high: float
    neither_limit: float
    drawn_sample: bool
    validation: Mapping[str, Mapping[str, Any]]
    """Figure -> value, low, high, n, method; empty if nothing was measured."""
    margins: Margins | None
    """When an answer of the first network is sure; None if the bundle has no such network."""

    @classmethod
    def read(cls, card: Mapping[str, Any]) -> Self:
        """The rules from the JSON document of a card that was checked before."""
        first = card["first_network"]
        return cls(
            class_names=tuple(card["class_names"]),
            image_size=card["image_size"],
            unsure_low=card["unsure_low"],
            unsure_high=card["unsure_high"],
            neither_limit=card["neither_limit"],
            drawn_sample=card["origin"]["drawn_sample"],
            validation=card["metrics"].get("validation", {}),
            margins=Margins(first["one_view_margin"], first["two_views_margin"]) if first else None,
        )

    def answer(self, probability: float, neither: float | None) -> tuple[str, str | None]:
        """The label of one image, and the reason if it is `unsure`, else None.

        Args:
            probability: Of the positive class.
            neither: Probability that the image shows neither class, or None where the network has no such output.
        """
        neither_prob = None if neither is None else np.array([neither])
        (reason,) = self.decision().reasons_for(np.array([probability]), neither_prob)
        return (UNSURE, str(reason)) if reason else (self.class_names[int(probability >= THRESHOLD)], None)

    def decision(self) -> Decision:
        """How the graph's logits become answers. It has no calibration, because these logits are calibrated already."""
        return Decision(
            unsure_low=self.unsure_low,
            unsure_high=self.unsure_high,
            neither_limit=self.neither_limit,
            at_chance=self.at_chance_warning is not None,
        )

    @property
    def warnings(self) -> list[str]:
        """What all users of the network must know, a sentence or two each; usually there are none."""
        return [*filter(None, [self.at_chance_warning]), *[SYNTHETIC_WARNING] * self.drawn_sample]

    @property
    def at_chance_warning(self) -> str | None:
        """The warning if the network is no better than guessing on the photos it was validated on, else None."""
        accuracy, majority = (self.validation.get(name, {}) for name in ("accuracy", "majority_baseline"))
        if not is_at_chance(accuracy.get("low"), majority.get("value")):
            return None
        return (
            f"This network is no better than guessing: its accuracy on {accuracy['n']:,} validation photos is "
            f"{accuracy['value']:.1%} (95%: {accuracy['low']:.1%} to {accuracy['high']:.1%}), and always naming the "
            f"majority class is correct for {majority['value']:.1%}. So every answer is `{UNSURE}`."
        )
