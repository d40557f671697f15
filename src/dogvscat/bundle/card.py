"""`card.json`: the description of a bundle, in a fixed set of fields; nothing in it is ever executed."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dogvscat.config import Config
from dogvscat.errors import ModelError
from dogvscat.judging.decision import THRESHOLD, Decision, is_at_chance
from dogvscat.labels import UNSURE, ClassNames

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.npz"
GOLDEN_FOLDER = "golden"

SYNTHETIC_WARNING = "This network learned from drawings, not photographs: its answers about photographs mean nothing."

_MOST_BYTES = 4 * 1024 * 1024  # a card has some ten thousand bytes


class CardSection(BaseModel):
    """A part of the card: frozen, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GoldenPicture(CardSection):
    """A synthetic picture and the answer that every copy of this bundle must give for it."""

    file: str = Field(pattern=r"^golden/[0-9]+\.png$")
    probability: float = Field(ge=0.0, le=1.0)
    """Of the positive class."""


class Provenance(CardSection):
    """Where a bundle comes from, enough to train it again."""

    data_digest: str
    """sha256 over the photos and their labels."""
    drawn_sample: bool
    """True if the network learned from drawings, not photographs."""
    num_train: int
    num_validation: int
    num_neither: int = 0
    """Training photos that show neither class."""
    epoch: int
    """The epoch whose weights the bundle has, counted from 1."""
    commit: str
    created: str
    """UTC, ISO 8601."""
    hardware: str


class Card(CardSection):
    """A bundle's description. Probabilities are of the positive class, sizes in pixels."""

    format_version: Literal[3] = 3
    class_names: ClassNames
    """In label order: 0, 1."""
    positive_class: str
    image_size: int = Field(ge=1, le=4096)
    resize: Literal["squash"] = "squash"
    """How a photo of any aspect ratio becomes a square."""
    temperature: float = Field(gt=0.0)
    bias: float
    """Both for the record only: they are already applied inside the graph, whose logit is calibrated."""
    threshold: float = Field(THRESHOLD, ge=THRESHOLD, le=THRESHOLD)
    """The answer is the positive class if its probability is at least this. It is the same in every card."""
    unsure_low: float = Field(ge=0.0, le=THRESHOLD)
    unsure_high: float = Field(ge=THRESHOLD, le=1.0)
    """The answer is `unsure` strictly between the two."""
    neither_limit: float = Field(1.0, ge=0.0, le=1.0)
    """The answer is also `unsure` where the probability of showing neither class is above this."""
    config: Config
    """Every setting of the training, including the shape of the network."""
    origin: Provenance
    metrics: dict[str, dict[str, dict[str, Any]]]
    """Split -> figure -> value, low, high, n, method."""
    known_failures: tuple[str, ...] = ()
    """Written by a person who looked at the mistakes of the network; a sentence or two each."""
    golden: tuple[GoldenPicture, ...] = Field(min_length=1)
    files: dict[str, str]
    """sha256 of every other file of the bundle, by relative path."""

    @model_validator(mode="after")
    def _consistent(self) -> "Card":
        if self.positive_class != self.class_names[1] or self.class_names[0] == self.class_names[1]:
            raise ValueError("positive_class must be the second of two different class_names")
        if MODEL_FILE not in self.files or any(picture.file not in self.files for picture in self.golden):
            raise ValueError("files must list the model and every golden picture")
        try:
            _ = self.at_chance_warning
        except (KeyError, TypeError, ValueError):
            raise ValueError("the figures of metrics.validation must have numbers as value, low, high and n") from None
        return self

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
        return [*filter(None, [self.at_chance_warning]), *[SYNTHETIC_WARNING] * self.origin.drawn_sample]

    @property
    def at_chance_warning(self) -> str | None:
        """The warning if the network is no better than guessing on the photos it was validated on, else None."""
        figures = self.metrics.get("validation", {})
        accuracy, majority = figures.get("accuracy", {}), figures.get("majority_baseline", {})
        if not is_at_chance(accuracy.get("low"), majority.get("value")):
            return None
        return (
            f"This network is no better than guessing: its accuracy on {accuracy['n']:,} validation photos is "
            f"{accuracy['value']:.1%} (95%: {accuracy['low']:.1%} to {accuracy['high']:.1%}), and always naming the "
            f"majority class is correct for {majority['value']:.1%}. So every answer is `{UNSURE}`."
        )


def parse_card(folder: Path) -> tuple[Card, str]:
    """Read and check a bundle's card.

    Returns:
        The card and the sha256 of its bytes.

    Raises:
        ModelError: if it is missing, too large, not JSON, or has an impossible value.
    """
    path = folder / CARD_FILE
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{path} is larger than {_MOST_BYTES:,} bytes; no card is that large")
        data = path.read_bytes()
        # Python's JSON reader would take NaN and Infinity, which are not JSON.
        return Card.model_validate(json.loads(data, parse_constant=_refuse_constant)), hashlib.sha256(data).hexdigest()
    except FileNotFoundError:
        raise ModelError(f"{folder} is not a bundle: it has no {CARD_FILE}") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "card"
        hint = None
        if field == "format_version":
            hint = "Another version of dogvscat made this bundle. Use it with that version, or train again."
        raise ModelError(f"{path} is not a valid card: {field}: {first['msg']}", hint=hint) from None
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested brackets
        raise ModelError(f"{path} is not JSON: {error}") from None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
