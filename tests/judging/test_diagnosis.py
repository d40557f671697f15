from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from dogvscat.judging.advice import TrainingSetup
from dogvscat.judging.diagnosis import Finding, diagnose, suspected_mislabeled
from dogvscat.judging.intervals import MetricValue, wilson
from dogvscat.judging.predictions import History, Predictions
from dogvscat.settings.resolve import resolve_config


def history(
    val_loss: Sequence[float | None],
    loss: Sequence[float | None] | None = None,
    stopped_early: bool = True,
    num_validation: int = 2500,
    val_accuracy: Sequence[float] | None = None,
) -> History:
    n = len(val_loss)
    loss = loss or np.linspace(0.69, 0.3, n).tolist()
    val_accuracy = val_accuracy or np.linspace(0.6, 0.88, n).tolist()
    rows: list[dict[str, float | None]] = [
        {
            "epoch": i + 1, "loss": loss[i], "accuracy": 0.8, "val_loss": val_loss[i],
            "val_accuracy": val_accuracy[i], "learning_rate": 0.001, "seconds": 1.0,
        }
        for i in range(n)
    ]  # fmt: skip
    finite = [np.inf if value is None else value for value in val_loss]
    return History(rows, int(np.argmin(finite)) + 1, stopped_early, 20_000, num_validation)


def make_metrics(right: int, n: int, baseline: float = 0.5) -> dict[str, MetricValue]:
    return {"accuracy": wilson(right, n), "majority_baseline": wilson(int(baseline * n), n)}


def observe(
    curves: History,
    train: Mapping[str, MetricValue],
    validation: Mapping[str, MetricValue],
    *settings: str,
    recipe: str = "classic",
) -> list[Finding]:
    """The findings about a training of a recipe with some settings."""
    config = resolve_config(recipe, None, settings)
    setup = TrainingSetup(
        config, curves.num_train, num_usable=22_494, num_validation=curves.num_validation, is_synthetic=True
    )
    return diagnose(setup, curves, train, validation)


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


CALM = [0.6, 0.5, 0.42, 0.36, 0.33, 0.32, 0.325, 0.326, 0.327]
GOOD_TRAIN, GOOD_VALIDATION = make_metrics(17_900, 20_000), make_metrics(2214, 2500)


def test_a_good_run_is_called_good():
    findings = observe(history(CALM), GOOD_TRAIN, GOOD_VALIDATION)
    assert kinds(findings) == ["generalizes", "stopped_early"]
    assert "89.5% (89.1-89.9)" in findings[0].explanation
    assert "lowest in epoch 6 and did not improve in the 3 epochs after it" in findings[1].explanation


def test_over_fitting_needs_a_gap_beyond_chance():
    assert "over_fitting" in kinds(observe(history(CALM), make_metrics(19_400, 20_000), GOOD_VALIDATION))
    assert "over_fitting" not in kinds(observe(history(CALM), make_metrics(18_100, 20_000), GOOD_VALIDATION))
    few = observe(history(CALM), make_metrics(97, 100), make_metrics(18, 20))  # 7 points, but 20 images
    assert "over_fitting" not in kinds(few)
    assert "few_images" in kinds(few)


def test_under_fitting_is_measured_against_the_majority_class():
    assert "under_fitting" in kinds(observe(history(CALM), make_metrics(15_000, 20_000), make_metrics(1870, 2500)))
    # 85% sounds fine, unless nine in ten images are of one class
    unequal = observe(history(CALM), make_metrics(18_400, 20_000, 0.9), make_metrics(2300, 2500, 0.9))
    assert "under_fitting" in kinds(unequal)
    assert "generalizes" not in kinds(unequal)


def test_nothing_learned():
    findings = observe(history(CALM), make_metrics(10_100, 20_000), make_metrics(1260, 2500))
    assert kinds(findings)[0] == "learned_nothing"
    assert "generalizes" not in kinds(findings)
    assert "under_fitting" not in kinds(findings)


def test_over_fitting_is_named_also_where_accuracy_is_bad():
    by_heart = observe(history(CALM), make_metrics(19_900, 20_000), make_metrics(1260, 2500))
    assert kinds(by_heart)[:2] == ["learned_nothing", "over_fitting"]
    weak = observe(history(CALM), make_metrics(15_500, 20_000), make_metrics(1600, 2500))
    assert kinds(weak)[:2] == ["over_fitting", "under_fitting"]
    for findings in (by_heart, weak):
        assert "generalizes" not in kinds(findings)


def test_epochs_that_ran_out():
    falling = [0.6, 0.55, 0.5, 0.46, 0.43, 0.41]
    six = "training.epochs=6"
    findings = observe(history(falling, stopped_early=False), GOOD_TRAIN, GOOD_VALIDATION, six)
    assert "epoch_limit" in kinds(findings)
    assert "--set training.epochs=12" in next(f.try_next for f in findings if f.kind == "epoch_limit")
    assert "epoch_limit" not in kinds(observe(history(CALM, stopped_early=False), GOOD_TRAIN, GOOD_VALIDATION))
    assert "epoch_limit" not in kinds(observe(history(falling), GOOD_TRAIN, GOOD_VALIDATION))
    assert "epoch_limit" not in kinds(observe(history([0.6, 0.61], stopped_early=False), GOOD_TRAIN, GOOD_VALIDATION))


@pytest.mark.parametrize("recipe", ["fast", "best"])
def test_a_cycle_ends_with_its_best_epochs_by_design(recipe: str) -> None:
    falling = history([0.6, 0.55, 0.5, 0.46, 0.43, 0.41], stopped_early=False)
    assert "epoch_limit" not in kinds(observe(falling, GOOD_TRAIN, GOOD_VALIDATION, recipe=recipe))
    constant = observe(falling, GOOD_TRAIN, GOOD_VALIDATION, "training.schedule=constant", recipe=recipe)
    assert "epoch_limit" in kinds(constant)


@pytest.mark.parametrize(
    ("stopped", "epochs", "advice"),
    [
        (True, 60, "`--set training.early_stopping_patience=10`"),  # classic has 5
        (False, 9, "`--set training.epochs=18`"),
        (True, 9, "`--set training.early_stopping_patience=10 --set training.epochs=18`"),  # both at once
    ],
)
def test_advice_to_learn_for_longer_fits_how_training_ended(stopped: bool, epochs: int, advice: str) -> None:
    weak = make_metrics(10_100, 20_000), make_metrics(1260, 2500)
    findings = observe(history(CALM, stopped_early=stopped), *weak, f"training.epochs={epochs}")
    assert advice in findings[0].try_next


def test_noise_is_measured_in_the_second_half():
    calm_late = [0.5, 0.7, 0.5, 0.8, 0.87, 0.872, 0.874, 0.873, 0.875]
    wild_late = [0.5, 0.6, 0.7, 0.8, 0.87, 0.82, 0.88, 0.80, 0.87]
    assert "noisy_validation" not in kinds(observe(history(CALM, val_accuracy=calm_late), GOOD_TRAIN, GOOD_VALIDATION))
    findings = observe(history(CALM, val_accuracy=wild_late, num_validation=300), GOOD_TRAIN, GOOD_VALIDATION)
    assert "noisy_validation" in kinds(findings)
    assert any("up to 8.0 points" in finding.explanation for finding in findings)
    assert any("Which epoch is best is then partly luck." in finding.explanation for finding in findings)


def test_memorizing_after_the_best_epoch():
    rising = [0.6, 0.4, 0.32, 0.34, 0.37, 0.4]
    findings = observe(history(rising), GOOD_TRAIN, GOOD_VALIDATION)
    assert "memorized_late" in kinds(findings)
    finding = next(finding for finding in findings if finding.kind == "memorized_late")
    assert "validation loss rose by 25%" in finding.explanation
    assert "were not kept" in finding.explanation
    assert finding.tone == "note"


def test_memorizing_matters_more_where_the_last_weights_are_kept():
    rising = [0.6, 0.4, 0.32, 0.34, 0.37, 0.4]
    curves = replace(history(rising, stopped_early=False), best_epoch=6)
    findings = observe(curves, GOOD_TRAIN, GOOD_VALIDATION, recipe="fast")
    finding = next(finding for finding in findings if finding.kind == "memorized_late")
    assert finding.title == "After epoch 3 the network began to memorize"
    assert "The weights of the last epoch were kept." in finding.explanation
    assert finding.tone == "problem"


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), None])
def test_divergence_silences_every_other_finding(broken):
    findings = observe(history([0.6, 0.5, broken], loss=[0.6, 0.5, broken]), GOOD_TRAIN, GOOD_VALIDATION)
    assert kinds(findings) == ["diverged"]


def test_a_run_of_one_epoch_has_findings():
    one = history([0.6], loss=[0.6], val_accuracy=[0.7], stopped_early=False)
    assert "epoch_limit" in kinds(observe(one, make_metrics(3, 4), make_metrics(1, 1)))


def test_suspects_are_confident_contradictions_worst_first():
    y_true = np.array([0, 0, 1, 1, 0])
    y_prob = np.array([0.95, 0.5, 0.001, 0.2, 0.1])
    predictions = Predictions("all", ("cat", "dog"), list("abcde"), y_true, y_prob, np.zeros(5, int), np.zeros(5, bool))
    suspects = suspected_mislabeled(predictions)
    assert [(s.path, s.label, s.predicted) for s in suspects] == [("c", "dog", "cat"), ("a", "cat", "dog")]
    assert [s.probability for s in suspects] == pytest.approx([0.999, 0.95])
    assert [s.path for s in suspected_mislabeled(predictions, limit=1)] == ["c"]


def test_history_refuses_a_best_epoch_it_does_not_have():
    with pytest.raises(ValueError, match="best_epoch among 0 rows of epochs, received 3"):
        History([], 3, False, 1, 1)
