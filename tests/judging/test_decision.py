from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from dogvscat.judging.decision import Decision, is_at_chance


def test_probabilities_are_the_logistic_function_without_overflow():
    logits = np.array([-1e6, -800.0, -3.0, 0.0, 3.0, 800.0, 1e6])
    assert Decision(2.5).probabilities(logits) == pytest.approx(expit(logits / 2.5))
    assert Decision(2.5, -0.7).probabilities(logits) == pytest.approx(expit(logits / 2.5 - 0.7))


def test_one_half_is_positive_and_the_band_excludes_its_ends():
    decision = Decision(1.0, 0.0, 0.4, 0.7)
    y_prob = np.array([0.4, 0.45, 0.5, 0.65, 0.7])
    assert decision.predict(y_prob).tolist() == [0, 0, 1, 1, 1]
    assert decision.is_unsure(y_prob).tolist() == [False, True, True, True, False]


def test_the_plain_decision_is_never_unsure():
    decision = Decision()
    assert not decision.is_unsure(np.linspace(0, 1, 101)).any()
    assert decision.predict(np.array([0.4999, 0.5])).tolist() == [0, 1]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        Decision(temperature)


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_impossible_biases_are_refused(bias):
    with pytest.raises(ValueError, match="bias must be a finite number"):
        Decision(1.0, bias)


@pytest.mark.parametrize("bounds", [(0.6, 0.7), (0.3, 0.4), (-0.1, 0.6), (0.4, float("nan"))])
def test_a_band_beside_one_half_is_refused(bounds):
    with pytest.raises(ValueError, match=r"unsure_low <= 0.5 <= unsure_high"):
        Decision(1.0, 0.0, *bounds)


def test_what_seems_to_show_neither_is_unsure_too():
    decision = Decision(1.0, 0.0, 0.4, 0.6, neither_limit=0.8)
    y_prob = np.array([0.5, 0.99, 0.99, 0.99])
    neither = np.log([1e-3, 0.25, 4.0, 4.1])  # odds of 4 to 1 are a probability of 0.8, which is not above the limit
    assert decision.is_unsure(y_prob, neither).tolist() == [True, False, False, True]
    assert decision.is_unsure(y_prob).tolist() == [True, False, False, False]
    with pytest.raises(ValueError, match=r"neither_limit must lie between 0 and 1, received 1\.5"):
        Decision(neither_limit=1.5)


def test_an_unsure_answer_has_the_first_reason_that_applies():
    y_prob, neither = np.array([0.5, 0.5, 0.99, 0.99]), np.array([-9.0, 9.0, 9.0, -9.0])
    decision = Decision(1.0, 0.0, 0.4, 0.6, neither_limit=0.8)
    assert decision.unsure_reasons(y_prob, neither).tolist() == ["close", "neither", "neither", ""]
    assert decision.unsure_reasons(y_prob).tolist() == ["close", "close", "", ""]
    guessing = replace(decision, at_chance=True)
    assert guessing.unsure_reasons(y_prob, neither).tolist() == ["at_chance"] * 4
    assert guessing.is_unsure(y_prob).all()


@pytest.mark.parametrize(
    ("low", "majority", "expected"),
    [(0.51, 0.5, False), (0.5, 0.5, True), (0.3, 0.6, True), (None, 0.5, False), (0.5, None, False)],
)
def test_a_network_is_at_chance_if_its_interval_reaches_the_majority_share(low, majority, expected):
    assert is_at_chance(low, majority) is expected
