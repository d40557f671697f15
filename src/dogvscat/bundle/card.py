"""`card.json`: the description of a bundle, in a fixed set of fields; nothing in it is ever executed.

Here it is checked and read as a whole. For answers, the part in answer_rules.py is enough.
"""

import json
from collections.abc import Mapping
from math import inf, isfinite
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dogvscat.bundle.answer_rules import AnswerRules
from dogvscat.config import Config
from dogvscat.errors import ModelError
from dogvscat.judging.cascade import Margins, stages
from dogvscat.judging.decision import THRESHOLD, WIDEST_BAND, Decision, Logits
from dogvscat.labels import FAILED, LEAVE_OUT, NEITHER, UNSURE, ClassNames

_TOO_LARGE = 1e6
"""Above every temperature and bias that a calibration gives."""
_FIGURE = {"value", "low", "high", "n", "method"}
_METHODS = ("wilson", "bootstrap", "none")


class CardSection(BaseModel):
    """A part of the card: frozen, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GoldenLogits(CardSection):
    """Calibrated log-odds for a golden picture."""

    positive: float = Field(gt=-_TOO_LARGE, lt=_TOO_LARGE)
    neither: float | None = Field(gt=-_TOO_LARGE, lt=_TOO_LARGE)

    def as_logits(self) -> Logits:
        """The same as arrays of one number."""
        return Logits(np.array([self.positive]), None if self.neither is None else np.array([self.neither]))


class GoldenStages(CardSection):
    """What the first network must give for a golden picture, and which stage answers it."""

    one_view: GoldenLogits
    two_views: GoldenLogits
    """Mean of the picture and its mirror image."""
    stage: Literal[1, 2, 3]
    """1 and 2: the first network after one view or two; 3: the full network."""


class GoldenPicture(CardSection):
    """A synthetic picture and the answer that every copy of this bundle must give for it."""

    file: str = Field(pattern=r"^golden/[0-9]+\.png$")
    label: str
    """A class name, or `unsure`."""
    reason: str | None
    """Why it is `unsure`, as in `Prediction`."""
    probabilities: dict[str, float]
    """By class name; they add up to 1."""
    neither: float | None = Field(ge=0.0, le=1.0)
    """Probability that the picture shows neither class, or None where the network has no such output."""
    first: GoldenStages | None
    """The other numbers are of the full network. None if the bundle has no first network."""


class FirstNetwork(CardSection):
    """A quick network, in 8 bits. Where it is sure, its answer counts; the full network answers the rest."""

    one_view_margin: float = Field(ge=0.0, le=100.0)
    """In log-odds. After one view, an answer is sure if it lies this far from every limit ..."""
    two_views_margin: float = Field(ge=0.0, le=100.0)
    """... and this far after two views, the photo and its mirror image."""
    agreement: dict[str, Any]
    """Share of the labels of validation photos that are those of the full network: value, low, high, n, method. Each
    photo counts with margins that were chosen without it."""
    one_view_share: float = Field(ge=0.0, le=1.0)
    """Share of these photos that are answered after one view ..."""
    two_views_share: float = Field(ge=0.0, le=1.0)
    """... and after two."""

    @property
    def margins(self) -> Margins:
        """Both margins."""
        return Margins(self.one_view_margin, self.two_views_margin)


class Provenance(CardSection):
    """Where a bundle comes from, enough to train it again."""

    data_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """sha256 over the photos and their labels."""
    drawn_sample: bool
    """True if the network learned from drawings, not photographs."""
    num_train: int = Field(ge=1)
    num_validation: int = Field(ge=1)
    num_neither: int = Field(0, ge=0)
    """Training photos that show neither class."""
    epoch: int = Field(ge=1)
    """The epoch whose weights the bundle has, counted from 1."""
    commit: str = Field(max_length=100)
    created: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")
    """UTC, ISO 8601."""
    hardware: str = Field(max_length=1000)


class Card(CardSection):
    """A bundle's description. Probabilities are of the positive class, sizes in pixels."""

    format_version: Literal[5] = 5
    class_names: ClassNames
    """In label order: 0, 1."""
    positive_class: str
    image_size: int = Field(ge=1, le=4096)
    resize: Literal["squash"] = "squash"
    """How a photo of any aspect ratio becomes a square."""
    temperature: float = Field(gt=0.0, lt=_TOO_LARGE)
    bias: float = Field(gt=-_TOO_LARGE, lt=_TOO_LARGE)
    """Temperature and bias are only a record: the graph applies them already, so its logit is calibrated."""
    threshold: float = Field(THRESHOLD, ge=THRESHOLD, le=THRESHOLD)
    """The answer is the positive class if its probability is at least this. It is the same in every card."""
    unsure_low: float = Field(ge=WIDEST_BAND[0], le=THRESHOLD)
    unsure_high: float = Field(ge=THRESHOLD, le=WIDEST_BAND[1])
    """The answer is `unsure` strictly between the two."""
    neither_limit: float = Field(gt=0.0, le=1.0)
    """The answer is also `unsure` where the probability of showing neither class is above this."""
    config: Config
    """Every setting of the training, including the shape of the network."""
    origin: Provenance
    metrics: dict[str, dict[str, dict[str, Any]]]
    """Split -> figure -> value, low, high, n, method."""
    known_failures: tuple[str, ...] = ()
    """Written by a person who looked at the mistakes of the network; a sentence or two each."""
    first_network: FirstNetwork | None
    """None if every answer is of the full network."""
    golden: tuple[GoldenPicture, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _consistent(self) -> "Card":
        if self.positive_class != self.class_names[1] or self.class_names[0] >= self.class_names[1]:
            raise ValueError("positive_class must be the second of two different class_names, in alphabetical order")
        if {FAILED, UNSURE, NEITHER, LEAVE_OUT}.intersection(self.class_names):
            raise ValueError(f"class_names must be names of classes, not `{UNSURE}`, `{NEITHER}` or `{LEAVE_OUT}`")
        if self.image_size != self.config.data.image_size:
            raise ValueError(f"image_size must be that of config, {self.config.data.image_size}")
        for split, figures in self.metrics.items():
            if not all(_is_figure(name, figure) for name, figure in figures.items()):
                raise ValueError(f"the figures of metrics.{split} must have numbers as value, low, high and n")
        if self.first_network and not _is_figure("agreement", self.first_network.agreement):
            raise ValueError("first_network.agreement must have numbers as value, low, high and n")
        for picture in self.golden:
            self._check_golden(picture)
            self._check_golden_stages(picture)
        return self

    def _check_golden(self, picture: GoldenPicture) -> None:
        """The recorded answer must be the one that this card's names and limits give for the recorded numbers."""
        negative, positive = self.class_names
        probability = picture.probabilities.get(positive, -1.0)
        if not 0.0 <= probability <= 1.0 or picture.probabilities != {
            negative: 1.0 - probability,
            positive: probability,
        }:
            raise ValueError(
                f"the probabilities of {picture.file} must be of {negative} and {positive} and add up to 1"
            )
        label, reason = self.answer(probability, picture.neither)
        if (label, reason) != (picture.label, picture.reason):
            raise ValueError(
                f"{picture.file} must have the label that its probabilities give, {label} (reason: {reason}), not "
                f"{picture.label} (reason: {picture.reason})"
            )

    def _check_golden_stages(self, picture: GoldenPicture) -> None:
        """The recorded stage must be the one that the margins of this card give for the recorded numbers."""
        if picture.first is None and self.first_network is not None:
            raise ValueError(f"{picture.file} must have answers of the first network, which the card describes")
        if picture.first is not None and self.first_network is None:
            raise ValueError(f"{picture.file} has answers of a first network, but the card describes none")
        if picture.first is None or self.first_network is None:
            return
        views = (picture.first.one_view, picture.first.two_views)
        if any((view.neither is None) != (picture.neither is None) for view in views):
            raise ValueError(f"both networks must have the same outputs for {picture.file}")
        (stage,) = stages(self.decision(), self.first_network.margins, *(view.as_logits() for view in views))
        if stage != picture.first.stage:
            raise ValueError(
                f"{picture.file} must be answered by the stage that the margins of first_network give, {stage}, not by "
                f"{picture.first.stage}"
            )

    @property
    def rules(self) -> AnswerRules:
        """What this card says about answers."""
        return AnswerRules(
            class_names=self.class_names,
            image_size=self.image_size,
            unsure_low=self.unsure_low,
            unsure_high=self.unsure_high,
            neither_limit=self.neither_limit,
            drawn_sample=self.origin.drawn_sample,
            validation=self.metrics.get("validation", {}),
            margins=self.first_network.margins if self.first_network else None,
        )

    def answer(self, probability: float, neither: float | None) -> tuple[str, str | None]:
        """As `AnswerRules.answer`."""
        return self.rules.answer(probability, neither)

    def decision(self) -> Decision:
        """As `AnswerRules.decision`."""
        return self.rules.decision()

    @property
    def warnings(self) -> list[str]:
        """As `AnswerRules.warnings`."""
        return self.rules.warnings

    @property
    def at_chance_warning(self) -> str | None:
        """As `AnswerRules.at_chance_warning`."""
        return self.rules.at_chance_warning


def parse_card(data: bytes, origin: str) -> Card:
    """Read and check a bundle's card.

    Args:
        data: The content of the file.
        origin: Where it came from, for errors.

    Raises:
        ModelError: if it is not JSON, or has an impossible value.
    """
    try:
        # Python's JSON reader would take NaN and Infinity, which are not JSON, and the second of two equal keys.
        document = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_without_repetition)
        return Card.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "card"
        hint = None
        if field == "format_version":
            hint = "Another version of dogvscat made this bundle. Use it with that version, or train again."
        raise ModelError(f"{origin} is not a valid card: {field}: {first['msg']}", hint=hint) from None
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested brackets
        raise ModelError(f"{origin} is not JSON: {error}") from None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return document


def _is_figure(name: str, figure: Mapping[str, Any]) -> bool:
    """Whether this is a metric with its interval, or one that is not defined (value None)."""
    if figure.keys() != _FIGURE or type(figure["n"]) is not int or figure["n"] < 0 or figure["method"] not in _METHODS:
        return False
    if figure["value"] is None:
        return figure["low"] is None and figure["high"] is None
    numbers = [figure["value"], *(end for end in (figure["low"], figure["high"]) if end is not None)]
    if not all(type(number) in (int, float) and isfinite(number) for number in numbers):
        return False
    highest = inf if name == "log_loss" else 1.0  # all others are shares
    return all(0.0 <= number <= highest for number in numbers) and numbers[1:] == sorted(numbers[1:])
