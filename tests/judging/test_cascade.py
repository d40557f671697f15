"""A cascade: an answer is sure only if nothing within the margin would change it, and margins change few labels."""

from dataclasses import replace

import numpy as np
import pytest

from dogvscat.judging.cascade import FULL, ONE_VIEW, TWO_VIEWS, Margins, distances, mean_logits, stages
from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.margin_fit import LEAST_IMAGES, fit_margins

BAND = Decision(unsure_low=0.25, unsure_high=0.9, neither_limit=0.4)
DECISIONS = {
    "band and limit": BAND,
    "no limit": replace(BAND, neither_limit=1.0),
    "no band": Decision(),
}
rng = np.random.default_rng(0)


def labels(decision: Decision, logits: Logits) -> list[tuple[str, int]]:
    y_prob = decision.probabilities(logits.positive)
    reasons = decision.unsure_reasons(y_prob, logits.neither)
    # The class behind an unsure answer counts as well: accuracy counts it.
    return list(zip(reasons.tolist(), decision.predict(y_prob).tolist(), strict=True))


def shifted(logits: Logits, positive: np.ndarray, neither: np.ndarray) -> Logits:
    return Logits(logits.positive + positive, None if logits.neither is None else logits.neither + neither)


@pytest.mark.parametrize("decision", DECISIONS.values(), ids=DECISIONS.keys())
@pytest.mark.parametrize("has_neither", [True, False])
def test_no_step_that_is_shorter_than_the_distance_changes_the_answer(decision: Decision, has_neither: bool) -> None:
    logits = Logits(rng.normal(0, 4, 2000), rng.normal(-1, 3, 2000) if has_neither else None)
    distance, answers = distances(decision, logits), labels(decision, logits)
    assert distance.shape == (2000,)
    nearest = 0
    for share, changes in ((0.999, False), (1.001, True)):
        step = np.minimum(share * distance, 50)
        moved = [labels(decision, shifted(logits, x * step, z * step)) for x in (-1, 0, 1) for z in (-1, 0, 1)]
        changed = [any(answer[index] != answers[index] for answer in moved) for index in range(2000)]
        if changes:
            nearest = sum(changed)
        else:
            assert not any(changed)
    assert nearest == np.sum(distance < 50)


def test_each_image_is_answered_by_the_first_stage_that_is_sure() -> None:
    one, two = Logits(np.array([5.0, 1.0, 1.0, -0.5])), Logits(np.array([0.0, 2.0, 0.1, -3.0]))
    received = stages(Decision(), Margins(2.0, 0.5), one, two)
    assert received.tolist() == [ONE_VIEW, TWO_VIEWS, FULL, TWO_VIEWS]
    assert mean_logits(one, two).positive.tolist() == [2.5, 1.5, 0.55, -1.75]


def noisy_answers(num_images: int, views: float, rounding: float) -> tuple[np.ndarray, Logits, Logits, Logits]:
    """Classes, and the answers of the stages, with normal differences between views and from rounding."""
    y_true = rng.integers(0, 2, num_images)
    full = Logits((2 * y_true - 1) * 6 + rng.normal(0, 3, num_images), rng.normal(-4, 2, num_images))

    def disturbed(scale: float) -> Logits:
        return Logits(*(output + rng.normal(0, scale, num_images) for output in full if output is not None))

    return y_true, disturbed(views), disturbed(rounding), full


def test_the_margins_keep_the_labels_and_the_accuracy() -> None:
    y_true, one, two, full = noisy_answers(4000, 0.8, 0.1)
    fitted = fit_margins(y_true, BAND, one, two, full)
    assert fitted is not None
    stage = stages(BAND, fitted.margins, one, two)
    outputs = [np.stack([output for output in logits if output is not None]) for logits in (one, two, full)]
    cascade = Logits(*np.select([stage == 1, stage == 2], outputs[:2], outputs[2]))
    same = np.mean([left == right for left, right in zip(labels(BAND, cascade), labels(BAND, full), strict=True)])
    assert same >= 0.998
    assert (fitted.agreement.value or 0) >= 0.998
    correct = [(BAND.predict(BAND.probabilities(logits.positive)) == y_true).sum() for logits in (cascade, full)]
    assert correct[0] >= correct[1]
    assert fitted.shares == {number: np.mean(stage == number) for number in (ONE_VIEW, TWO_VIEWS, FULL)}
    assert fitted.margins.one_view > fitted.margins.two_views > 0  # more noise needs more distance
    assert fitted.shares[ONE_VIEW] > 0.5


def part(number: int, *answers: Logits) -> list[Logits]:
    return [Logits(*(output[:number] for output in logits if output is not None)) for logits in answers]


def test_too_few_images_prove_nothing() -> None:
    """All labels are equal; with one image fewer than needed, that is no proof."""
    y_true, *answers = noisy_answers(LEAST_IMAGES, 0.0, 0.0)
    assert fit_margins(y_true, BAND, *answers) is not None
    assert fit_margins(y_true[:-1], BAND, *part(LEAST_IMAGES - 1, *answers)) is None


def test_a_first_network_that_is_hardly_ever_sure_gets_no_margins() -> None:
    y_true, *answers = noisy_answers(3000, 6.0, 6.0)
    assert fit_margins(y_true, BAND, *answers) is None


def test_a_first_network_that_answers_worse_gets_no_margins() -> None:
    """It differs only in labels that were correct: few, but accuracy would be lost."""
    y_true, _, _, full = noisy_answers(3000, 0.0, 0.0)
    index = np.argmax((full.positive > 0) == y_true)
    wrong = full.positive.copy()
    wrong[index] = 20.0 * (1 - 2 * y_true[index])  # one confident mistake
    worse = Logits(wrong, np.full(3000, -9.0))
    exact = Logits(full.positive, np.full(3000, -9.0))
    assert fit_margins(y_true, BAND, exact, exact, exact) is not None
    assert fit_margins(y_true, BAND, worse, worse, exact) is None
