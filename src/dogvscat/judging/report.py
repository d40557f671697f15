"""`report.html`: one self-contained page that tells a newcomer how good a network is and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogvscat.atomic import write_bytes
from dogvscat.judging.decision import Decision
from dogvscat.judging.diagnosis import CONFIDENT_CONTRADICTION, CURVES_NOTE, Finding, Suspect
from dogvscat.judging.display import num_pictures, split_words
from dogvscat.judging.history import History
from dogvscat.judging.intervals import RESAMPLES, Figure, as_decimal, as_percent
from dogvscat.judging.judge import SplitResult
from dogvscat.labels import ClassNames
from dogvscat.pages import data_uri, open_templates
from dogvscat.text import printable

Rows = Sequence[tuple[str, str]]

_SHARES = ("accuracy", "precision_", "recall_", "f1_", "majority_", "unsure_", "selective_", "balanced_")


@dataclass(frozen=True, eq=False)
class Report:
    """Everything a report shows. What is empty or None leaves its section out.

    Args:
        title: Heading of the page, for example `classic-3`.
        splits: What was found, the split of the headline first.
        decision: Temperature, threshold and unsure band of the model.
        neither: Figures about photos of neither class, as from `measure_neither`.
        folds: Folds in which the decision was judged crosswise on the validation split; 0 if that had too few pictures
            to choose one; None if no split shown took part in choosing it.
        pictures: PNG files by name, as from `write_pictures`; `augmentation` may be added.
        history: The training, or None where a finished model is judged.
        findings: What the curves show, in the order they are shown.
        suspects: Pictures whose label may be wrong, the most suspicious first.
        facts: What the model is: (name, value).
        settings: Every setting of the training: (name, value).
        environment: Versions, hardware, commit, digests: (name, value).
        commands: How to go on: (command, what it is for).
        note: Words that must be seen first, such as "drawn sample, not photographs".
    """

    title: str
    splits: Sequence[SplitResult]
    decision: Decision
    neither: Mapping[str, Figure] = field(default_factory=dict)
    folds: int | None = None
    pictures: Mapping[str, Path] = field(default_factory=dict)
    history: History | None = None
    findings: Sequence[Finding] = ()
    suspects: Sequence[Suspect] = ()
    facts: Rows = ()
    settings: Rows = ()
    environment: Rows = ()
    commands: Rows = ()
    note: str | None = None


@dataclass(frozen=True)
class FigureRow:
    """One line of the table of figures: its name, what it means, and its value on each split."""

    label: str
    meaning: str
    cells: list[tuple[str, str, int]]  # split, value with interval, n


def write_report(path: Path, report: Report) -> None:
    """Write the page: inline styles and pictures, no scripts, nothing fetched from anywhere.

    Raises:
        ValueError: if there is no split to report on.
        WriteError: if the file could not be written.
    """
    # A path that is not UTF-8 has been made printable; whatever else cannot be encoded is escaped the same way.
    write_bytes(path, render_report(report).encode("utf-8", "backslashreplace"))


def render_report(report: Report) -> str:
    """The page as HTML."""
    if not report.splits:
        raise ValueError("expected at least one split to report on, received none")
    templates = open_templates(Path(__file__).parent, percent=as_percent, decimal=as_decimal, split_words=split_words)
    return templates.get_template("report.html.jinja").render(_variables(report))


def _variables(report: Report) -> dict[str, Any]:
    first = report.splits[0]
    return {
        "report": report,
        "first": first,
        "judged": num_pictures(first.n, first.answers.split),
        "class_names": first.answers.class_names,
        "figures": figure_rows(report.splits, report.decision),
        "images": {name: data_uri(path.read_bytes()) for name, path in report.pictures.items() if path.is_file()},
        "curves_note": CURVES_NOTE,
        "resamples": f"{RESAMPLES:,}",
        "contradiction": f"{100 * CONFIDENT_CONTRADICTION:.0f}%",
    }


def figure_rows(splits: Sequence[SplitResult], decision: Decision) -> list[FigureRow]:
    """The table of figures: every figure of the first split, in its order, beside those of the others."""
    meanings = _meanings(splits[0].answers.class_names, decision)
    rows = []
    for name in splits[0].figures:
        label, meaning = meanings[name]
        of_splits = [(split_words(split.answers.split), split.figures[name]) for split in splits]
        rows.append(FigureRow(label, meaning, [(words, _value(name, figure), figure.n) for words, figure in of_splits]))
    return rows


def _value(name: str, figure: Figure) -> str:
    return as_percent(figure) if name.startswith(_SHARES) else as_decimal(figure)


def _meanings(class_names: ClassNames, decision: Decision) -> dict[str, tuple[str, str]]:
    """Label and one-line definition of every figure."""
    negative, positive = map(printable, class_names)
    band = f"between {100 * decision.unsure_low:.0f}% and {100 * decision.unsure_high:.0f}%"
    if decision.unsure_low == decision.unsure_high:
        band = "in the band, which is empty here"
    if decision.neither_limit < 1:
        band += ", or the photo seems to show neither"
    meanings = {
        "accuracy": ("Accuracy", "Share of the pictures answered rightly."),
        "balanced_accuracy": ("Balanced accuracy", "Mean of both recalls; a commoner class does not flatter it."),
        "roc_auc": ("ROC AUC", f"Chance that a {positive} picture outranks a {negative} picture; guessing has 0.5."),
        "log_loss": ("Log loss", "Punishes confident mistakes. 0 is perfect; always saying 50% costs 0.693."),
        "brier_score": ("Brier score", "Mean squared error of the probability. 0 is perfect; always 50% costs 0.25."),
        "expected_calibration_error": (
            "Calibration error",
            "How far the claimed confidence and the accuracy lie apart on average. 0 is perfect.",
        ),
        "majority_baseline": ("Baseline", "Accuracy of always naming the commoner class: what must be beaten."),
        "unsure_rate": ("Unsure", f"Share answered “unsure”: a probability of {positive} {band}."),
        "selective_accuracy": ("Accuracy when sure", "Accuracy of the answers that are not “unsure”."),
    }
    for name, shown in zip(class_names, (negative, positive), strict=True):
        meanings[f"precision_{name}"] = (f"Precision, {shown}", f"Of the pictures called {shown}, the share that are.")
        meanings[f"recall_{name}"] = (f"Recall, {shown}", f"Of the {shown} pictures, the share that were called so.")
        meanings[f"f1_{name}"] = (f"F1, {shown}", "Precision and recall in one number, their harmonic mean.")
    return meanings
