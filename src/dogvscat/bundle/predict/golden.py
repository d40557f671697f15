"""The golden pictures of a bundle: every network of it must give the answers that the card records, on any machine."""

from pathlib import Path

import numpy as np

from dogvscat.bundle.answer_rules import AnswerRules
from dogvscat.bundle.card import GoldenPicture, GoldenStages
from dogvscat.bundle.folder import FIRST_FILE, Bundle
from dogvscat.bundle.graph import Session, run_graph
from dogvscat.bundle.predict.networks import Networks, mirrored
from dogvscat.bundle.predict.prediction import Prediction, predictions_of
from dogvscat.errors import ImageError, ModelError
from dogvscat.judging.cascade import mean_logits
from dogvscat.judging.decision import Logits
from dogvscat.labels import NEITHER
from dogvscat.photos.decoding.decoder import decode

GOLDEN_TOLERANCE = 1e-3
"""How far the probability of a golden picture may lie from the card's: other processors round differently."""
FIRST_TOLERANCE = 0.25
"""The same for the log-odds of the first network. Its first convolution computes in float and may round differently.
That can turn a number into the next integer, and the layers that compute with integers carry the difference on."""
_HINT = "The pixels or the arithmetic differ; compare the versions of Pillow and onnxruntime."


def check_golden(bundle: Bundle, networks: Networks) -> None:
    """Answer the golden pictures and compare with the card: class names, probabilities, labels, log-odds.

    Args:
        bundle: Whose card says what is expected.
        networks: Of this bundle.

    Raises:
        ModelError: naming the picture whose answer differs.
    """
    for golden in bundle.card.golden:
        file = bundle.folder / golden.file
        try:
            pixels = decode(bundle.read(golden.file), str(file), bundle.card.image_size)[None]
        except ImageError as error:
            raise ModelError(f"the golden picture {error.message}") from None
        (received,) = predictions_of(bundle.rules, run_graph(networks.full(), pixels), [golden.file])
        if not _agrees(received, golden, bundle.rules):
            raise ModelError(
                f"{file} should have the answer {_answer_in_words(golden)}, this installation computes "
                f"{_answer_in_words(received)}",
                hint=_HINT,
            )
        if (first := networks.first()) and golden.first:
            _check_first(first, pixels, golden.first, file)


def _check_first(first: Session, pixels: np.ndarray, golden: GoldenStages, file: Path) -> None:
    one_view = run_graph(first, pixels)
    two_views = mean_logits(one_view, run_graph(first, mirrored(pixels)))
    for received, recorded in ((one_view, golden.one_view), (two_views, golden.two_views)):
        expected = recorded.as_logits()
        differences = [
            np.inf if left is None or right is None else abs(left[0] - right[0])
            for left, right in zip(received, expected, strict=True)
            if left is not right
        ]
        if max(differences) > FIRST_TOLERANCE:
            raise ModelError(
                f"{file} should have the log-odds {_logits_in_words(expected)} in {FIRST_FILE}, this installation "
                f"computes {_logits_in_words(received)}",
                hint=f"{_HINT} `--exact` does not use this network.",
            )


def _logits_in_words(logits: Logits) -> str:
    return " and ".join(f"{output[0]:.3f}" for output in logits if output is not None)


def _agrees(received: Prediction, golden: GoldenPicture, rules: AnswerRules) -> bool:
    """Whether an answer is the recorded one. A label may differ where the recorded numbers lie so close to a limit that
    rounding decides."""
    numbers, recorded = (
        {**answer.probabilities, **({} if answer.neither is None else {NEITHER: answer.neither})}
        for answer in (received, golden)
    )
    if list(numbers) != list(recorded):
        return False
    if any(abs(numbers[name] - recorded[name]) > GOLDEN_TOLERANCE for name in recorded):
        return False
    # From the computed numbers by the rules of the card; `golden` follows the same rules, or the card is refused.
    answer = rules.answer(received.probabilities[rules.class_names[1]], received.neither)
    return (received.label, received.reason) == answer


def _answer_in_words(answer: Prediction | GoldenPicture) -> str:
    numbers = {**answer.probabilities, **({} if answer.neither is None else {NEITHER: answer.neither})}
    return f"{answer.label} ({', '.join(f'{name} {number:.4f}' for name, number in numbers.items())})"
