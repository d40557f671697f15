"""`report.html`: one self-contained page that shows a newcomer how good a network is and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogvscat.atomic import write_bytes
from dogvscat.glossary.page import explain_words
from dogvscat.judging.decision import Decision
from dogvscat.judging.diagnosis import CONFIDENT_CONTRADICTION, CURVES_NOTE, Finding, Suspect
from dogvscat.judging.intervals import RESAMPLES, MetricValue, as_decimal, as_percent
from dogvscat.judging.metrics import SplitResult
from dogvscat.judging.predictions import History, num_images
from dogvscat.labels import ClassNames
from dogvscat.pages import data_uri, open_templates
from dogvscat.text import printable

Rows = Sequence[tuple[str, str]]

_PERCENTAGES = ("accuracy", "precision_", "recall_", "f1_", "majority_", "unsure_", "selective_", "balanced_")
"""The metrics shown as percent, by the start of their names."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything a report shows. A section whose content is empty or None is left out.

    Args:
        title: Heading of the page, for example `classic-3`.
        splits: The evaluated splits; the headline is about the first.
        decision: Temperature, bias and unsure band of the model.
        neither: Metrics of photos that show neither class, as from `compute_neither_metrics`.
        folds: Number of folds in which the decision was cross-fitted on the validation split; 0 if that split had too
            few images to choose a decision; None if the decision was chosen on no split of this page.
        figures: PNG files by name, as from `write_figures`; `augmentation` may be added.
        history: The training, or None where a finished model is evaluated.
        findings: What the learning curves show, in the order they are shown.
        suspects: Photos whose label may be wrong, the most suspicious first.
        facts: What the model is: (name, value).
        settings: Every setting of the training: (name, value).
        environment: Versions, hardware, commit, digests: (name, value).
        commands: What to do next: (command, its purpose).
        note: Words that must be seen first, such as "pictures drawn by code, not photographs".
    """

    title: str
    splits: Sequence[SplitResult]
    decision: Decision
    neither: Mapping[str, MetricValue] = field(default_factory=dict)
    folds: int | None = None
    figures: Mapping[str, Path] = field(default_factory=dict)
    history: History | None = None
    findings: Sequence[Finding] = ()
    suspects: Sequence[Suspect] = ()
    facts: Rows = ()
    settings: Rows = ()
    environment: Rows = ()
    commands: Rows = ()
    note: str | None = None


@dataclass(frozen=True)
class MetricRow:
    """One row of the table of metrics: its name, its definition, and its value on each split."""

    label: str
    definition: str
    cells: list[tuple[str, str, int]]  # split, value with interval, n


def write_report(path: Path, report: Report) -> None:
    """Write the page: styles and figures inline, no scripts, nothing fetched from anywhere.

    Raises:
        ValueError: if there is no split to report on.
        WriteError: if the file could not be written.
    """
    # Paths that are not UTF-8 have been made printable; any other text that cannot be encoded is escaped here.
    write_bytes(path, render_report(report).encode("utf-8", "backslashreplace"))


def render_report(report: Report) -> str:
    """The page as HTML, with the words it uses explained."""
    if not report.splits:
        raise ValueError("expected at least one split to report on, received none")
    templates = open_templates(Path(__file__).parent, percent=as_percent, decimal=as_decimal)
    return explain_words(templates.get_template("report.html.jinja").render(_variables(report)))


def _variables(report: Report) -> dict[str, Any]:
    first = report.splits[0]
    return {
        "report": report,
        "first": first,
        "evaluated": num_images(first.n, first.predictions.split),
        "class_names": first.predictions.class_names,
        "metrics": metric_rows(report.splits, report.decision),
        "images": {name: data_uri(path.read_bytes()) for name, path in report.figures.items() if path.is_file()},
        "curves_note": CURVES_NOTE,
        "resamples": f"{RESAMPLES:,}",
        "contradiction": f"{100 * CONFIDENT_CONTRADICTION:.0f}%",
    }


def metric_rows(splits: Sequence[SplitResult], decision: Decision) -> list[MetricRow]:
    """The table of metrics: every metric of the first split, in its order, with its values on all splits."""
    definitions = _definitions(splits[0].predictions.class_names, decision)
    rows = []
    for name in splits[0].metrics:
        label, definition = definitions[name]
        values = [(split.predictions.split_words, split.metrics[name]) for split in splits]
        rows.append(
            MetricRow(label, definition, [(words, _value_text(name, value), value.n) for words, value in values])
        )
    return rows


def _value_text(name: str, value: MetricValue) -> str:
    return as_percent(value) if name.startswith(_PERCENTAGES) else as_decimal(value)


def _definitions(class_names: ClassNames, decision: Decision) -> dict[str, tuple[str, str]]:
    """Label and one-line definition of every metric."""
    negative, positive = map(printable, class_names)
    conditions = []
    if decision.unsure_low < decision.unsure_high:
        band = f"between {100 * decision.unsure_low:.1f}% and {100 * decision.unsure_high:.1f}%"
        conditions.append(f"a probability of {positive} {band}")
    if decision.neither_limit < 1:
        conditions.append("the photo seems to show neither")
    unsure_when = ", or ".join(conditions) or "never here, as there were too few validation images to choose a limit"
    if decision.at_chance:
        unsure_when = "always here, as the network is no better than guessing"
    # 0.693 is ln 2, the log loss of a probability of 50%; 0.25 is its squared error.
    definitions = {
        "accuracy": ("Accuracy", "Share of correct answers."),
        "balanced_accuracy": ("Balanced accuracy", "Mean of both recalls; unequal class sizes do not inflate it."),
        "roc_auc": (
            "ROC AUC",
            f"Chance that a {positive} image gets a higher p({positive}) than a {negative} image; guessing: 0.5.",
        ),
        "log_loss": ("Log loss", "Penalizes confident mistakes. 0 is perfect; always answering 50% gives 0.693."),
        "brier_score": ("Brier score", "Mean squared error of the probability. 0 is perfect; always 50% gives 0.25."),
        "expected_calibration_error": (
            "Calibration error",
            "The average distance between the claimed confidence and the accuracy. 0 is perfect.",
        ),
        "majority_baseline": (
            "Baseline",
            "Accuracy of always predicting the majority class: any useful network is better.",
        ),
        "unsure_rate": ("Unsure", f"Share answered “unsure”: {unsure_when}."),
        "selective_accuracy": ("Accuracy when sure", "Accuracy of the answers that are not “unsure”."),
    }
    # Keys hold the names of the classes as they are; `text` is the printable form.
    for name, text in zip(class_names, (negative, positive), strict=True):
        definitions[f"precision_{name}"] = (
            f"Precision, {text}",
            f"Of the images predicted as {text}, the share labeled {text}.",
        )
        definitions[f"recall_{name}"] = (f"Recall, {text}", f"Of the {text} images, the share predicted as {text}.")
        definitions[f"f1_{name}"] = (f"F1, {text}", "The harmonic mean of precision and recall.")
    return definitions
