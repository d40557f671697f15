import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn import metrics

from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.intervals import MetricValue
from dogvscat.judging.metrics import (
    _statistics,
    compute_metrics,
    compute_neither_metrics,
    compute_unsure_metrics,
    expected_calibration_error,
)

NAMES = ("cat", "dog")


def answers(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities (with ties) and predictions of a fair classifier."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, 2, n)
    y_prob = np.round(np.clip(0.5 + 0.25 * (2 * y_true - 1) + rng.normal(0, 0.25, n), 0, 1), 2)
    return y_true, y_prob, (y_prob >= 0.4).astype(np.int64)


def test_hand_table():
    # labeled cat: 3 predicted as cat, 1 as dog; labeled dog: 2 predicted as cat, 4 as dog
    y_true = np.array([0] * 4 + [1] * 6)
    y_pred = np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1])
    figures = compute_metrics(y_true, np.where(y_pred == 1, 0.8, 0.2), y_pred, NAMES, resamples=50)
    values = {name: figure.value for name, figure in figures.items()}
    assert values["accuracy"] == pytest.approx(7 / 10)
    assert values["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert values["precision_cat"] == pytest.approx(3 / 5)
    assert values["recall_cat"] == pytest.approx(3 / 4)
    assert values["f1_cat"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert values["precision_dog"] == pytest.approx(4 / 5)
    assert values["recall_dog"] == pytest.approx(4 / 6)
    assert values["f1_dog"] == pytest.approx(2 * 4 / (2 * 4 + 1 + 2))
    # of 24 pairs 3 * 4 are in order, and 1 * 4 + 3 * 2 tie
    assert values["roc_auc"] == pytest.approx((12 + 10 / 2) / 24)
    assert values["log_loss"] == pytest.approx(-(7 * np.log(0.8) + 3 * np.log(0.2)) / 10)
    assert values["brier_score"] == pytest.approx((7 * 0.2**2 + 3 * 0.8**2) / 10)
    assert values["expected_calibration_error"] == pytest.approx(0.8 - 0.7)
    assert values["majority_baseline"] == pytest.approx(6 / 10)
    assert [figures[name].n for name in ("accuracy", "precision_cat", "recall_cat", "roc_auc")] == [10, 5, 4, 10]


def test_every_resample_gets_what_scikit_learn_gives_with_sample_weight():
    y_true, y_prob, y_pred = answers(300)
    order = np.argsort(y_prob, kind="stable")
    counts = np.random.default_rng(1).multinomial(300, np.full(300, 1 / 300), size=3)  # in the order of y_prob
    rows = _statistics(y_true, y_prob, y_pred)(counts.astype(float))
    for weights, row in zip(counts, rows, strict=True):
        true, prob, pred = y_true[order], y_prob[order], y_pred[order]
        expected = [
            metrics.balanced_accuracy_score(true, pred, sample_weight=weights),
            metrics.f1_score(true, pred, pos_label=0, sample_weight=weights),
            metrics.f1_score(true, pred, pos_label=1, sample_weight=weights),
            metrics.roc_auc_score(true, prob, sample_weight=weights),
            metrics.log_loss(true, prob, sample_weight=weights),
            metrics.brier_score_loss(true, prob, sample_weight=weights),
            expected_calibration_error(np.repeat(true, weights), np.repeat(prob, weights)),
        ]
        assert row.tolist() == pytest.approx(expected, rel=1e-9)


def interval(figure: MetricValue) -> tuple[float, float]:
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low <= figure.value <= figure.high
    return figure.low, figure.high


def test_intervals_hold_their_value_and_shrink_with_n():
    few, many = compute_metrics(*answers(200), NAMES), compute_metrics(*answers(3200), NAMES)
    widths = {name: (np.ptp(interval(few[name])), np.ptp(interval(many[name]))) for name in many}
    for name, (wide, narrow) in widths.items():
        assert narrow < wide, name
    assert widths["roc_auc"][1] == pytest.approx(widths["roc_auc"][0] / 4, rel=0.5)


def test_calibration_error_of_confident_truth_and_of_overconfidence():
    y_true = np.array([0, 0, 1, 1])
    assert expected_calibration_error(y_true, np.array([0.0, 0.0, 1.0, 1.0])) == 0
    assert expected_calibration_error(1 - y_true, np.array([0.0, 0.0, 1.0, 1.0])) == 1
    # two bins: confidence .6 with accuracy 1 of 2, confidence .9 with accuracy 2 of 2
    y_prob = np.array([0.4, 0.6, 0.1, 0.9])
    assert expected_calibration_error(np.array([1, 1, 0, 1]), y_prob) == pytest.approx((0.1 + 0.1) / 2)


def test_a_well_calibrated_network_has_a_small_calibration_error_inside_its_interval():
    rng = np.random.default_rng(0)
    y_prob = rng.uniform(0, 1, 4000)
    y_true = (rng.uniform(0, 1, 4000) < y_prob).astype(np.int64)
    figure = compute_metrics(y_true, y_prob, (y_prob >= 0.5).astype(np.int64), NAMES)["expected_calibration_error"]
    low, high = interval(figure)
    assert low >= 0
    assert high < 0.04


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("y_prob", [0.0, 0.3, 1.0])
def test_a_single_class_leaves_metrics_undefined_and_never_nan(label, n, y_prob):
    y_true, prob = np.full(n, label), np.full(n, y_prob)
    figures = compute_metrics(y_true, prob, (prob >= 0.5).astype(np.int64), NAMES, resamples=20)
    assert figures["roc_auc"].value is None
    assert figures["balanced_accuracy"].value is None
    assert figures[f"recall_{NAMES[1 - label]}"].value is None
    assert figures["majority_baseline"].value == 1
    assert figures["log_loss"].value is not None
    assert np.isfinite(figures["log_loss"].value)
    json.dumps({name: asdict(figure) for name, figure in figures.items()}, allow_nan=False)


def test_class_names_of_any_kind_are_kept():
    figures = compute_metrics(*answers(20), ("a b", "ü$"), resamples=10)
    assert {"precision_a b", "recall_ü$"} < set(figures)


def test_unsure_answers_are_counted_and_left_out():
    y_true, y_pred = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    figures = compute_unsure_metrics(y_true, y_pred, np.array([False, False, True, False]))
    assert (figures["unsure_rate"].value, figures["unsure_rate"].n) == (0.25, 4)
    assert (figures["selective_accuracy"].value, figures["selective_accuracy"].n) == (1.0, 3)
    assert compute_unsure_metrics(y_true, y_pred, np.ones(4, bool))["selective_accuracy"].value is None


def test_photos_that_show_neither_by_hand():
    # 3 of the 4 photos that show neither lie above the limit; the fourth is a close call; of 4 * 2 pairs 7 are in order
    neither = Logits(np.array([5.0, 5.0, 5.0, 0.0]), np.array([3.0, 4.0, 5.0, -2.0]))
    classes = Logits(np.array([5.0, -5.0]), np.array([-1.0, -3.0]))
    decision = Decision(1.0, 0.0, 0.4, 0.6, neither_limit=0.9)
    figures = compute_neither_metrics(neither, classes, decision)
    assert (figures["unsure_rate"].value, figures["unsure_rate"].n) == (1.0, 4)
    narrow = compute_neither_metrics(neither, classes, Decision(neither_limit=0.9))
    assert narrow["unsure_rate"].value == pytest.approx(3 / 4)
    auc = figures["neither_roc_auc"]
    assert auc.value == pytest.approx(7 / 8)
    assert (auc.low or 0.0) <= 7 / 8 <= (auc.high or 0.0)
