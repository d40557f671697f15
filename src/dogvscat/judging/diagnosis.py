"""What the curves and figures show, in words for a student, and what to try next.

Each rule is one function that returns a `Finding` or None; the numbers a rule turns on are the constants below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dogvscat.judging.answers import Answers
from dogvscat.judging.history import History
from dogvscat.judging.intervals import Figure, as_percent
from dogvscat.text import counted

OVER_FITTING_GAP = 0.03
"""Training accuracy this far above validation counts as over-fitting, where the intervals do not touch either. Below
three points the gap is about what two samples of pictures differ by on their own."""
UNDER_FITTING_SKILL = 0.6
"""Share of the mistakes of always naming the commoner class that a network should avoid even on its training
pictures; with equal classes this is an accuracy of 80%, which small networks pass on photographs."""
RISE_AFTER_BEST = 1.05
"""Validation loss at the end over its best value. Five per cent is more than one epoch's wobble."""
STILL_IMPROVING_SHARE = 0.1
"""A best epoch within this last share of the epochs suggests that training was cut off while it still paid."""
NOISY_ACCURACY = 0.015
"""Standard deviation of validation accuracy around its trend that hides progress. The same pictures are judged each
time, so that the jumps come from the weights, not from the choice of pictures."""
NOISY_EPOCHS = 8
"""Fewest epochs from which noise is judged."""
WIDE_INTERVAL = 0.03
"""Half the interval of validation accuracy above which two settings can hardly be told apart."""
CONFIDENT_CONTRADICTION = 0.9
"""Probability of the other class from which on a stored label is suspected. Where probabilities are calibrated, at
most one in ten such pictures would carry its right label."""

CURVES_NOTE = (
    "The training curve is measured while the network learns, on what its name in the picture says. Validation is "
    "measured on plain pictures with the whole network. Training may therefore look worse than validation without "
    "anything being wrong; the table of figures compares the two under equal conditions."
)


@dataclass(frozen=True)
class Finding:
    """One thing the curves or figures show.

    Args:
        kind: A fixed word for it, such as `over_fitting`.
        tone: `good`, `note` or `problem`.
        title: The finding in a few words.
        explanation: What was seen and what it means.
        try_next: What to do about it, with commands and settings between backticks; empty if nothing needs doing.
    """

    kind: str
    tone: Literal["good", "note", "problem"]
    title: str
    explanation: str
    try_next: str


@dataclass(frozen=True)
class Suspect:
    """A picture whose stored label may be wrong.

    Args:
        path: The picture.
        label: Class name that is stored.
        answer: Class name the network gives.
        probability: Probability of that answer, from 0 to 1.
    """

    path: str
    label: str
    answer: str
    probability: float


def diagnose(history: History, train: Mapping[str, Figure], validation: Mapping[str, Figure]) -> list[Finding]:
    """Everything worth saying about a training, problems first.

    Args:
        history: The epochs.
        train: Figures of the training pictures, as from `measure`: plain pictures, whole network, kept weights.
        validation: Figures of the validation pictures.
    """
    if diverged := _diverged(history):
        return [diverged]
    nothing = _learned_nothing(history, validation)
    about_fit = [nothing] if nothing else [_over_fitting(train, validation), _under_fitting(history, train)]
    problems = [*about_fit, _epoch_limit(history), _noisy(history), _few_pictures(validation)]
    notes = [_stopped_early(history), _memorised_late(history)]
    found = [finding for finding in problems + notes if finding]
    if any(about_fit):
        return found
    return [_generalises(train, validation), *found]


def suspected_mislabelled(answers: Answers, limit: int = 30) -> list[Suspect]:
    """Pictures whose stored label the network contradicts most confidently, the most suspicious first.

    Meant for pictures the network did not learn from; it would have learned their wrong labels as well.
    """
    other = np.where(answers.y_true == 1, 1 - answers.y_prob, answers.y_prob)
    order = np.argsort(-other, kind="stable")
    suspects = [index for index in order if other[index] >= CONFIDENT_CONTRADICTION][:limit]
    names = answers.class_names
    return [
        Suspect(answers.paths[i], names[answers.y_true[i]], names[1 - answers.y_true[i]], float(other[i]))
        for i in suspects
    ]


def _diverged(history: History) -> Finding | None:
    if np.isfinite(history.column("loss")).all() and np.isfinite(history.column("val_loss")).all():
        return None
    return Finding(
        "diverged",
        "problem",
        "Training diverged",
        "The loss stopped being a finite number: steps were so large that the weights ran away.",
        "A tenth of the learning rate, for example `--set training.learning_rate=0.0001`.",
    )


def _learned_nothing(history: History, validation: Mapping[str, Figure]) -> Finding | None:
    accuracy, baseline = validation["accuracy"], validation["majority_baseline"]
    if _number(accuracy.low) > _number(baseline.value):
        return None
    return Finding(
        "learned_nothing",
        "problem",
        "No better than always naming the commoner class",
        f"Validation accuracy is {as_percent(accuracy)}; naming the commoner class every time is right on "
        f"{100 * _number(baseline.value):.1f}%. The difference may be chance.",
        f"First check the labels with `dogvscat audit --labels`. Then {_longer(history)}, another learning rate "
        "(`--set training.learning_rate=0.0003`) or more pictures.",
    )


def _over_fitting(train: Mapping[str, Figure], validation: Mapping[str, Figure]) -> Finding | None:
    seen, unseen = train["accuracy"], validation["accuracy"]
    gap = _number(seen.value) - _number(unseen.value)
    if gap <= OVER_FITTING_GAP or _number(seen.low) <= _number(unseen.high):
        return None
    return Finding(
        "over_fitting",
        "problem",
        "Over-fitting: better on pictures it has seen",
        f"Accuracy is {as_percent(seen)} on training pictures but {as_percent(unseen)} on validation pictures, "
        f"{100 * gap:.1f} points less. Part of what it learned holds for those pictures only.",
        "Stronger regularisation: `--set network.dropout=0.6`, `--set augmentation.shift=0.15` or "
        "`--set training.weight_decay=0.0001`; a smaller network (`--set network.dense_units=64`); or more pictures.",
    )


def _under_fitting(history: History, train: Mapping[str, Figure]) -> Finding | None:
    accuracy, baseline = _number(train["accuracy"].value), _number(train["majority_baseline"].value)
    if baseline >= 1 or 1 - (1 - accuracy) / (1 - baseline) >= UNDER_FITTING_SKILL:
        return None
    return Finding(
        "under_fitting",
        "problem",
        "Under-fitting: weak even on pictures it has seen",
        f"Accuracy on the training pictures themselves is only {as_percent(train['accuracy'])}. The network is too "
        "small, too restrained, or was not trained for long enough.",
        f"Try {_longer(history)}, less dropout (`--set network.dropout=0.25`), weaker augmentation "
        "(`--set augmentation.rotation=0`), or larger pictures (`--set data.image_size=96`).",
    )


def _epoch_limit(history: History) -> Finding | None:
    epochs = len(history.rows)
    best = int(np.argmin(history.column("val_loss")))
    if history.stopped_early or epochs - 1 - best > STILL_IMPROVING_SHARE * epochs:
        return None
    return Finding(
        "epoch_limit",
        "problem",
        "The epochs ran out while it was still improving",
        f"The best validation loss came in epoch {int(history.rows[best]['epoch'] or 0)} of {history.last_epoch}. "
        "Training ended because the epochs were used up, not because it had stopped paying.",
        f"Go on with this run: `dogvscat train --resume`, with `--set training.epochs={2 * history.last_epoch}`.",
    )


def _noisy(history: History) -> Finding | None:
    accuracy = history.column("val_accuracy")
    jumps = np.diff(accuracy[len(accuracy) // 2 :])
    # Second differences cancel a steady trend; of independent values they have six times the variance.
    if len(accuracy) < NOISY_EPOCHS or np.sqrt(np.mean(np.diff(jumps) ** 2) / 6) <= NOISY_ACCURACY:
        return None
    return Finding(
        "noisy_validation",
        "problem",
        "Validation jumps from epoch to epoch",
        f"In the second half, validation accuracy changed by up to {100 * np.max(np.abs(jumps)):.1f} points from one "
        "epoch to the next. Which epoch is best is then partly luck.",
        "Smaller steps: `--set training.learning_rate=0.0003`, or larger batches (`--set training.batch_size=128`)."
        + (" More validation pictures (`--set data.validation_share=0.2`)." if history.num_validation < 1000 else ""),
    )


def _few_pictures(validation: Mapping[str, Figure]) -> Finding | None:
    accuracy = validation["accuracy"]
    half_width = (_number(accuracy.high) - _number(accuracy.low)) / 2
    if half_width <= WIDE_INTERVAL:
        return None
    return Finding(
        "few_pictures",
        "note",
        "Few validation pictures, wide interval",
        f"With {accuracy.n:,} validation pictures the accuracy is known to about {100 * half_width:.0f} points either "
        "way. Two settings that differ by less cannot be told apart.",
        "More pictures, or a larger share of them for validation (`--set data.validation_share=0.2`).",
    )


def _stopped_early(history: History) -> Finding | None:
    if not history.stopped_early:
        return None
    waited = history.last_epoch - history.best_epoch
    return Finding(
        "stopped_early",
        "note",
        f"Stopped early, weights of epoch {history.best_epoch} kept",
        f"Validation loss was best in epoch {history.best_epoch} and did not improve in the {counted(waited, 'epoch')} "
        f"after it; so training ended after epoch {history.last_epoch} and the weights of the best were restored.",
        "",
    )


def _memorised_late(history: History) -> Finding | None:
    loss, val_loss, best = history.column("loss"), history.column("val_loss"), history.best_index
    if val_loss[-1] <= RISE_AFTER_BEST * val_loss[best] or loss[-1] >= loss[best]:
        return None
    return Finding(
        "memorised_late",
        "note",
        f"After epoch {history.best_epoch} it began to memorise",
        f"From then on training loss still fell while validation loss rose by "
        f"{100 * (val_loss[-1] / val_loss[best] - 1):.0f}%: the mark of over-fitting. Those epochs were not kept.",
        "More epochs will not help here. Stronger augmentation or dropout moves this point later: "
        "`--set augmentation.zoom=0.25`, `--set network.dropout=0.6`.",
    )


def _generalises(train: Mapping[str, Figure], validation: Mapping[str, Figure]) -> Finding:
    gap = _number(train["accuracy"].value) - _number(validation["accuracy"].value)
    return Finding(
        "generalises",
        "good",
        "What it learned holds for new pictures",
        f"Under equal conditions, accuracy on training pictures is {as_percent(train['accuracy'])} and on validation "
        f"pictures {as_percent(validation['accuracy'])}: {100 * abs(gap):.1f} points apart, no sign of over-fitting.",
        "A stronger network or larger pictures can now pay: `--set network.filters=[32,64,128,256]` or "
        "`--set data.image_size=96`.",
    )


def _longer(history: History) -> str:
    """What lets a network learn for longer, as the training ended."""
    if history.stopped_early:
        return "more patience (`--set training.early_stopping_patience=12`)"
    return f"more epochs (`--set training.epochs={2 * history.last_epoch}`)"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
