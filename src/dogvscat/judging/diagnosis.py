"""What the learning curves and metrics show, in words for a student; advice.py adds what to try next.

Each rule is one function that returns a `Finding` or None; the thresholds of the rules are the constants below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dogvscat.config import TrainingConfig
from dogvscat.judging.advice import TrainingSetup, advise
from dogvscat.judging.decision import is_at_chance
from dogvscat.judging.intervals import MetricValue, as_percent
from dogvscat.judging.learning_curve import describe_small_set
from dogvscat.judging.predictions import History, Predictions
from dogvscat.photos.giveaways import Giveaway
from dogvscat.text import pluralize

OVER_FITTING_GAP = 0.03
"""Training accuracy this far above validation accuracy counts as over-fitting, if their intervals do not overlap.
Two samples of images differ by about three points on their own."""
UNDER_FITTING_SKILL = 0.6
"""Always predicting the majority class makes many mistakes. A network should avoid at least this share of them on its
training images. With equal classes this is an accuracy of 80%, which small networks exceed on photographs."""
RISE_AFTER_BEST = 1.05
"""Validation loss at the end, divided by its best value. 5% is more than the noise of one epoch."""
STILL_IMPROVING_SHARE = 0.1
"""A best epoch within this last share of the epochs suggests that training ended while it was still improving."""
NOISY_ACCURACY = 0.015
"""A standard deviation of validation accuracy around its trend that hides progress. Each epoch is evaluated on the same
images, so that the jumps come from the weights, not from the choice of images."""
NOISY_EPOCHS = 8
"""The fewest epochs that show how noisy validation is."""
WIDE_INTERVAL = 0.03
"""Half the width of the interval of validation accuracy above which two settings can hardly be told apart."""
CONFIDENT_CONTRADICTION = 0.9
"""A stored label is suspect if the other class has at least this probability. Where probabilities are calibrated, at
most one in ten such images has the correct label."""

CURVES_NOTE = (
    "The training curve is measured while the network learns, under the conditions named in the legend. Validation is "
    "measured on unchanged images with the whole network. Training may therefore look worse than validation without "
    "anything being wrong; the table of metrics compares the two under equal conditions."
)


@dataclass(frozen=True)
class Finding:
    """One thing that the curves or metrics show.

    Args:
        kind: Its fixed name, such as `over_fitting`.
        tone: `good`, `note` or `problem`.
        title: The finding in a few words.
        explanation: What was measured and what it means.
        try_next: What to do about it, with commands and settings between backticks; empty if nothing needs doing.
    """

    kind: str
    tone: Literal["good", "note", "problem"]
    title: str
    explanation: str
    try_next: str = ""


@dataclass(frozen=True)
class Suspect:
    """A photo whose stored label may be wrong.

    Args:
        path: The photo.
        label: Name of the stored class.
        predicted: Name of the class that the network predicts.
        probability: Probability of the predicted class, from 0 to 1.
    """

    path: str
    label: str
    predicted: str
    probability: float


def diagnose(
    setup: TrainingSetup, history: History, train: Mapping[str, MetricValue], validation: Mapping[str, MetricValue]
) -> list[Finding]:
    """The findings about a training, problems first, with advice that fits its settings.

    Args:
        setup: What the training was made with.
        history: The epochs.
        train: Metrics of the training images, from `compute_metrics`: unchanged images, whole network, kept weights.
        validation: Metrics of the validation images.
    """
    # The metrics of a network that diverged say nothing else.
    findings = [diverged] if (diverged := _diverged(history)) else _observe(setup, history, train, validation)
    advice = advise([finding.kind for finding in findings], setup, history)
    return [replace(finding, try_next=advice[finding.kind]) for finding in findings]


def _observe(
    setup: TrainingSetup, history: History, train: Mapping[str, MetricValue], validation: Mapping[str, MetricValue]
) -> list[Finding]:
    training = setup.config.training
    learned_nothing = _learned_nothing(validation)
    # A network that learned nothing is weak on its training images as well, unless it learned them by heart.
    under_fitting = None if learned_nothing else _under_fitting(train)
    fit_findings = [learned_nothing, _over_fitting(train, validation), under_fitting]
    good = None if any(fit_findings) else _generalizes(train, validation)
    problems = [_epoch_limit(training, history), _noisy(training, history), _few_images(validation)]
    notes = [_small_set(setup), _stopped_early(history), _memorized_late(training, history)]
    return [finding for finding in (good, *fit_findings, *problems, *notes) if finding]


def giveaway_finding(giveaway: Giveaway) -> Finding:
    """The finding that facts about the files reveal the class, which makes every other figure doubtful."""
    return Finding(
        "giveaway",
        "problem",
        f"A giveaway: {giveaway.fact} reveals the class",
        f"By itself, this fact predicts the class correctly for {giveaway.summary()}. The network may have learned it "
        "instead of the animals. Accuracy on the splits cannot reveal this, because the fact holds for the photos of "
        "all splits, but not for photos from elsewhere.",
        giveaway.advice,
    )


def suspected_mislabeled(predictions: Predictions, limit: int = 30) -> list[Suspect]:
    """Photos whose stored label the network contradicts most confidently, the most suspicious first.

    Meant for photos the network did not learn from; it would have learned their wrong labels as well.
    """
    y_true, y_prob = predictions.y_true, predictions.y_prob
    contradiction = np.where(y_true == 1, 1 - y_prob, y_prob)  # probability of the class that is not the label
    order = np.argsort(-contradiction, kind="stable")
    suspects = [index for index in order if contradiction[index] >= CONFIDENT_CONTRADICTION][:limit]
    names = predictions.class_names
    return [
        Suspect(predictions.paths[i], names[y_true[i]], names[1 - y_true[i]], float(contradiction[i])) for i in suspects
    ]


def _diverged(history: History) -> Finding | None:
    if np.isfinite(history.columns["loss"]).all() and np.isfinite(history.columns["val_loss"]).all():
        return None
    return Finding(
        "diverged",
        "problem",
        "Training diverged",
        "The loss is no longer a finite number: the steps were so large that the weights grew without limit.",
    )


def _learned_nothing(validation: Mapping[str, MetricValue]) -> Finding | None:
    accuracy, baseline = validation["accuracy"], validation["majority_baseline"]
    if not is_at_chance(accuracy.low, baseline.value):
        return None
    return Finding(
        "learned_nothing",
        "problem",
        "No better than always predicting the majority class",
        f"Validation accuracy is {as_percent(accuracy)}; always predicting the majority class is correct for "
        f"{100 * _nan_if_none(baseline.value):.1f}%. The difference may be chance.",
    )


def _over_fitting(train: Mapping[str, MetricValue], validation: Mapping[str, MetricValue]) -> Finding | None:
    seen, unseen = train["accuracy"], validation["accuracy"]
    gap = _nan_if_none(seen.value) - _nan_if_none(unseen.value)
    if gap <= OVER_FITTING_GAP or _nan_if_none(seen.low) <= _nan_if_none(unseen.high):
        return None
    return Finding(
        "over_fitting",
        "problem",
        "Over-fitting: better on images it has seen",
        f"Accuracy is {as_percent(seen)} on training images but {as_percent(unseen)} on validation images, "
        f"{100 * gap:.1f} points less. Part of what the network learned holds only for the training images.",
    )


def _under_fitting(train: Mapping[str, MetricValue]) -> Finding | None:
    accuracy, baseline = _nan_if_none(train["accuracy"].value), _nan_if_none(train["majority_baseline"].value)
    # Skill: the share of the baseline's mistakes that the network avoids.
    if baseline >= 1 or 1 - (1 - accuracy) / (1 - baseline) >= UNDER_FITTING_SKILL:
        return None
    return Finding(
        "under_fitting",
        "problem",
        "Under-fitting: weak even on images it has seen",
        f"Accuracy on the training images themselves is only {as_percent(train['accuracy'])}. The network is too "
        "small, is regularized too strongly, or was not trained for long enough.",
    )


def _epoch_limit(training: TrainingConfig, history: History) -> Finding | None:
    if training.schedule == "one_cycle":
        return None  # steps shrink to nothing at the end, so the last epochs are the best ones by design
    epochs = len(history.rows)
    # Not history.best_epoch: without early stopping, the weights of the last epoch are kept, whatever its loss.
    best = int(np.argmin(history.columns["val_loss"]))
    if history.stopped_early or epochs - 1 - best > STILL_IMPROVING_SHARE * epochs:
        return None
    return Finding(
        "epoch_limit",
        "problem",
        "The epochs ran out while the network was still improving",
        f"Validation loss was lowest in epoch {int(history.rows[best]['epoch'] or 0)} of {history.last_epoch}. "
        "Training ended because the epochs were used up, not because the network had stopped improving.",
    )


def _noisy(training: TrainingConfig, history: History) -> Finding | None:
    accuracy = history.columns["val_accuracy"]
    jumps = np.diff(accuracy[len(accuracy) // 2 :])  # from epoch to epoch, in the second half
    # Second differences cancel a steady trend. Those of independent values have six times their variance: 1 + 4 + 1.
    if len(accuracy) < NOISY_EPOCHS or np.sqrt(np.mean(np.diff(jumps) ** 2) / 6) <= NOISY_ACCURACY:
        return None
    lucky = "Which epoch is best" if training.early_stopping_patience else "How good the last epoch is"
    return Finding(
        "noisy_validation",
        "problem",
        "Validation jumps from epoch to epoch",
        f"In the second half of the training, validation accuracy changed by up to {100 * np.max(np.abs(jumps)):.1f} "
        f"points from one epoch to the next. {lucky} is then partly luck.",
    )


def _few_images(validation: Mapping[str, MetricValue]) -> Finding | None:
    accuracy = validation["accuracy"]
    half_width = (_nan_if_none(accuracy.high) - _nan_if_none(accuracy.low)) / 2
    if half_width <= WIDE_INTERVAL:
        return None
    return Finding(
        "few_images",
        "note",
        "Few validation images, wide interval",
        f"With {accuracy.n:,} validation images the accuracy is known to about {100 * half_width:.0f} points either "
        "way. Two settings that differ by less cannot be told apart.",
    )


def _stopped_early(history: History) -> Finding | None:
    if not history.stopped_early:
        return None
    patience = history.last_epoch - history.best_epoch
    return Finding(
        "stopped_early",
        "note",
        f"Stopped early, weights of epoch {history.best_epoch} kept",
        f"Validation loss was lowest in epoch {history.best_epoch} and did not improve in the "
        f"{pluralize(patience, 'epoch')} after it. So training ended after epoch {history.last_epoch}, and the weights "
        "of the best epoch were restored.",
    )


def _memorized_late(training: TrainingConfig, history: History) -> Finding | None:
    loss, val_loss = history.columns["loss"], history.columns["val_loss"]
    best = int(np.argmin(val_loss))
    # Memorizing: after the best epoch, validation loss rises although training loss still falls.
    if val_loss[-1] <= RISE_AFTER_BEST * val_loss[best] or loss[-1] >= loss[best]:
        return None
    restored = training.early_stopping_patience > 0
    outcome = "The weights of those epochs were not kept." if restored else "The weights of the last epoch were kept."
    return Finding(
        "memorized_late",
        "note" if restored else "problem",
        f"After epoch {int(history.rows[best]['epoch'] or 0)} the network began to memorize",
        f"From then on training loss still fell while validation loss rose by "
        f"{100 * (val_loss[-1] / val_loss[best] - 1):.0f}%, the mark of over-fitting. {outcome}",
    )


def _small_set(setup: TrainingSetup) -> Finding | None:
    expected = None if setup.is_synthetic else describe_small_set(setup.num_train)
    return Finding("small_set", "note", "A small training set", expected) if expected else None


def _generalizes(train: Mapping[str, MetricValue], validation: Mapping[str, MetricValue]) -> Finding:
    gap = _nan_if_none(train["accuracy"].value) - _nan_if_none(validation["accuracy"].value)
    return Finding(
        "generalizes",
        "good",
        "What the network learned holds for new images",
        f"Under equal conditions, accuracy on training images is {as_percent(train['accuracy'])} and on validation "
        f"images {as_percent(validation['accuracy'])}: {100 * abs(gap):.1f} points apart, no sign of over-fitting.",
    )


def _nan_if_none(value: float | None) -> float:
    return float("nan") if value is None else value  # every comparison with NaN is False
