import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from dogvscat.errors import ModelError
from dogvscat.judging.calibration import UNSURE_BUDGET, cross_fit, fit_decision
from dogvscat.judging.decision import Decision


def overconfident(n: int, factor: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true log-odds, and logits that exaggerate those log-odds by a factor."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0, 2, n)
    y_true = (rng.uniform(size=n) < Decision().probabilities(log_odds)).astype(np.int64)
    return y_true, log_odds * factor


def test_temperature_is_what_logistic_regression_without_intercept_finds():
    y_true, logits = overconfident(2000)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits[:, None], y_true).coef_[0, 0]
    assert fit_decision(y_true, logits).temperature == pytest.approx(1 / slope, rel=1e-3)


def test_temperature_undoes_exaggeration_and_improves_log_loss_and_brier():
    y_true, logits = overconfident(20_000)
    decision = fit_decision(y_true, logits)
    assert decision.temperature == pytest.approx(3.0, rel=0.05)
    before, after = Decision().probabilities(logits), decision.probabilities(logits)
    assert log_loss(y_true, after) < log_loss(y_true, before)
    assert brier_score_loss(y_true, after) < brier_score_loss(y_true, before)


def test_a_clear_shift_is_taken_back_by_the_bias_and_noise_is_not():
    y_true, logits = overconfident(2000, factor=1.0)
    plain = fit_decision(y_true, logits)
    assert plain.bias == 0.0
    shifted = fit_decision(y_true, logits + 2.0)
    assert shifted.bias == pytest.approx(-2.0 / shifted.temperature, abs=0.2)
    assert shifted.probabilities(logits + 2.0) == pytest.approx(plain.probabilities(logits), abs=0.05)
    unbiased = Decision(shifted.temperature).probabilities(logits + 2.0)
    accuracy, unbiased_accuracy = (
        np.mean(shifted.predict(y_prob) == y_true) for y_prob in (shifted.probabilities(logits + 2.0), unbiased)
    )
    assert accuracy > unbiased_accuracy + 0.05


def test_temperature_and_bias_are_what_logistic_regression_finds():
    y_true, logits = overconfident(2000)
    exact = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None] + 5.0, y_true)
    decision = fit_decision(y_true, logits + 5.0)
    assert decision.temperature == pytest.approx(1 / exact.coef_[0, 0], rel=1e-3)
    assert decision.bias == pytest.approx(exact.intercept_[0], rel=1e-3)


def test_a_bias_that_leaves_no_mistake_keeps_the_network_humble():
    """The steeper, the likelier: a logistic regression would go to a probability of 1 at once."""
    y_true, logits = np.repeat([0, 1], 20), np.concatenate([np.linspace(0.5, 2.0, 20), np.linspace(2.5, 4.0, 20)])
    decision = fit_decision(y_true, logits)
    y_prob = decision.probabilities(logits)
    assert (decision.predict(y_prob) == y_true).all()
    assert 0.05 < y_prob[19] < 0.5 <= y_prob[20] < 0.95


@pytest.mark.parametrize("n", [23, 199, 2500])
def test_the_unsure_band_is_the_widest_that_holds_its_share(n):
    y_true, logits = overconfident(n)
    decision = fit_decision(y_true, logits)
    y_prob = decision.probabilities(logits)
    allowed = int(UNSURE_BUDGET * n)
    assert decision.is_unsure(y_prob).sum() == allowed
    wider = (decision.unsure_high - decision.unsure_low) / 2 + 1e-9
    assert np.sum(np.abs(y_prob - 0.5) < wider) > allowed


def test_too_few_images_leave_the_band_empty():
    assert not fit_decision(*overconfident(22)).is_unsure(np.linspace(0, 1, 1001)).any()


@pytest.mark.parametrize(
    ("y_true", "logits"),
    [
        ([1], [0.3]),
        ([0], [100.0]),
        ([1, 1, 1], [2.0, -1.0, 0.0]),
        ([0, 1], [-1.0, 1.0]),  # no mistake: the best temperature would be zero
        ([0, 0, 1, 1], [-900.0, -800.0, 800.0, 900.0]),
        ([0, 1], [0.0, 0.0]),
    ],
)
def test_degenerate_sets_get_no_bias(y_true, logits):
    decision = fit_decision(np.array(y_true), np.array(logits))
    assert decision.bias == 0.0
    assert 0.05 <= decision.temperature <= 20.0
    if all((z > 0) == bool(y) for y, z in zip(y_true, logits, strict=True)) or len(set(y_true)) == 1:
        assert decision.temperature == 1.0


def test_all_wrong_makes_the_network_humble_without_failing():
    decision = fit_decision(np.array([0, 1] * 50), np.array([3.0, -3.0] * 50))
    assert decision.temperature == pytest.approx(20.0, rel=0.01)


def test_logits_that_are_not_numbers_name_the_cause():
    with pytest.raises(ModelError, match="not a finite number for 1 of 2 images") as raised:
        fit_decision(np.array([0, 1]), np.array([np.nan, 1.0]))
    assert "training.learning_rate" in str(raised.value.hint)


def test_no_image_takes_part_in_its_own_evaluation():
    y_true, logits = overconfident(200)
    groups = np.arange(200) // 2  # pairs of duplicates
    before = cross_fit(y_true, logits, groups)
    changed = logits.copy()
    changed[[10, 11]] *= -8.0  # one whole group gives other answers
    after = cross_fit(y_true, changed, groups)
    assert before.folds == 5

    def temperatures(y_prob: np.ndarray, used: np.ndarray) -> np.ndarray:
        return used / np.log(y_prob / (1 - y_prob))

    same = np.isclose(temperatures(before.y_prob, logits), temperatures(after.y_prob, changed), rtol=1e-3)
    assert same[[10, 11]].all()  # predicted with a decision that never saw them
    assert not same.all()  # which the others' decisions did


def test_cross_fitting_is_seeded_and_groups_may_be_words():
    y_true, logits = overconfident(100)
    words = [f"group {i // 2}" for i in range(100)]
    first, again = cross_fit(y_true, logits, words, seed=1), cross_fit(y_true, logits, words, seed=1)
    assert np.array_equal(first.y_prob, again.y_prob)
    assert first.y_pred.dtype == np.int64
    assert first.unsure.dtype == bool


@pytest.mark.parametrize(
    ("y_true", "groups", "folds"),
    [
        ([1], [0], 0),
        ([0, 1], [0, 1], 0),
        ([1, 1, 1, 1], [0, 1, 2, 3], 0),
        ([0, 0, 1, 1], [7, 7, 7, 7], 0),
        ([0, 0, 1, 1], [0, 1, 2, 3], 2),
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], 3),
    ],
)
def test_few_images_take_fewer_folds_or_none(y_true, groups, folds):
    logits = np.linspace(-2, 2, len(y_true))
    fitted = cross_fit(np.array(y_true), logits, groups)
    assert fitted.folds == folds
    assert fitted.y_prob.shape == fitted.y_pred.shape == fitted.unsure.shape == (len(y_true),)
    if not folds:
        assert fitted.y_prob == pytest.approx(Decision().probabilities(logits))


def test_the_budget_for_unsure_answers_includes_what_seems_to_show_neither():
    y_true, logits = overconfident(1000)
    neither = np.random.default_rng(5).normal(size=1000)
    decision = fit_decision(y_true, logits, neither)
    seeming = neither > np.sort(neither)[-31]  # the thirty largest of a thousand
    assert (decision.is_unsure(np.full(1000, 0.999), neither) == seeming).all()
    y_prob = decision.probabilities(logits)
    assert decision.is_unsure(y_prob, neither).sum() == 45
    assert fit_decision(y_true, logits).neither_limit == 1.0


def test_the_limit_for_neither_is_chosen_on_other_folds():
    y_true, logits = overconfident(400)
    neither = np.random.default_rng(6).normal(size=400)
    before = cross_fit(y_true, logits, np.arange(400), neither)
    neither[np.argmax(neither)] = 1e3  # changes no limit, since it was above every one
    np.testing.assert_array_equal(cross_fit(y_true, logits, np.arange(400), neither).unsure, before.unsure)
    assert before.unsure.mean() == pytest.approx(0.05, abs=0.02)
