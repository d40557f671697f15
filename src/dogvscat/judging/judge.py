"""Judging one split from its answers: every figure, and every picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix as count_answers

from dogvscat.judging.answers import Answers
from dogvscat.judging.decision import Decision
from dogvscat.judging.display import num_pictures
from dogvscat.judging.figures import confusion_matrix, learning_curves, probability_histogram, reliability, roc
from dogvscat.judging.history import History
from dogvscat.judging.image_grid import image_grid
from dogvscat.judging.intervals import Figure
from dogvscat.judging.metrics import measure, measure_unsure
from dogvscat.text import printable

WALL_COLUMNS = 6
WALL_ROWS = 4


@dataclass(frozen=True, eq=False)
class SplitResult:
    """What was found about one split.

    Args:
        answers: The answers that were judged.
        figures: Each figure by name, as from `measure` and `measure_unsure`.
    """

    answers: Answers
    figures: dict[str, Figure]

    @property
    def n(self) -> int:
        """How many pictures were judged."""
        return self.answers.n

    @property
    def num_right(self) -> int:
        """How many answers were right."""
        return int(np.sum(self.answers.y_true == self.answers.y_pred))

    @property
    def confusion(self) -> list[list[int]]:
        """Pictures by stored label (rows) and answer (columns), in class order."""
        counts: list[list[int]] = count_answers(self.answers.y_true, self.answers.y_pred, labels=[0, 1]).tolist()
        return counts

    def to_dict(self) -> dict[str, Any]:
        """JSON values for `metrics.json`."""
        return {
            "split": self.answers.split,
            "n": self.n,
            "class_names": list(self.answers.class_names),
            "confusion_matrix": self.confusion,
            "figures": {name: figure.to_dict() for name, figure in self.figures.items()},
        }


def judge_split(answers: Answers, seed: int = 0) -> SplitResult:
    """Every figure about the answers; the seed is that of the bootstrap."""
    y_true, y_pred = answers.y_true, answers.y_pred
    figures = measure(y_true, answers.y_prob, y_pred, answers.class_names, seed)
    return SplitResult(answers, figures | measure_unsure(y_true, y_pred, answers.unsure))


def write_pictures(
    folder: Path,
    result: SplitResult,
    decision: Decision,
    load_images: Callable[[Sequence[int]], np.ndarray],
    history: History | None = None,
    note: str | None = None,
) -> dict[str, Path]:
    """Write every picture about one split, and the learning curves where there is a history.

    Args:
        folder: Where the PNGs go.
        result: The split, as from `judge_split`.
        decision: Its threshold and band are drawn into the histogram.
        load_images: Gives the images of some indices into `result.answers`, uint8 [K, H, W, 3]; called once, with
            the worst mistakes, or not at all if there are none.
        history: The training behind the answers, or None.
        note: Words that must be seen with each picture, such as "drawn sample, not photographs".

    Returns:
        The files by their names without suffix, in the order in which a report shows them.

    Raises:
        WriteError: if a file could not be written.
    """
    answers, figures = result.answers, result.figures
    names = ["confusion_matrix", "confusion_matrix_normalized", "roc", "reliability", "probability_histogram"]
    paths = {name: folder / f"{name}.png" for name in ["learning_curves"] * bool(history) + [*names, "mistakes"]}
    if history:
        learning_curves(paths["learning_curves"], history, note)
    confusion_matrix(paths["confusion_matrix"], answers, normalized=False, note=note)
    confusion_matrix(paths["confusion_matrix_normalized"], answers, normalized=True, note=note)
    roc(paths["roc"], answers, figures["roc_auc"], note)
    reliability(paths["reliability"], answers, figures["expected_calibration_error"], note)
    probability_histogram(paths["probability_histogram"], answers, decision, note)
    _draw_mistakes(paths["mistakes"], answers, load_images, note)
    return paths


def _draw_mistakes(
    path: Path, answers: Answers, load_images: Callable[[Sequence[int]], np.ndarray], note: str | None
) -> None:
    mistakes = answers.mistakes()
    shown = mistakes[: WALL_COLUMNS * WALL_ROWS].tolist()
    counted = f"among {num_pictures(answers.n, answers.split)}"
    if not shown:
        image_grid(path, np.zeros((0, 1, 1, 3), np.uint8), [], WALL_COLUMNS, f"No mistake {counted}", note)
        return
    captions = [_caption(answers, index) for index in shown]
    title = f"The only mistake {counted}" if len(mistakes) == 1 else f"All {len(mistakes):,} mistakes {counted}"
    if len(shown) < len(mistakes):
        title = f"The {len(shown)} most confident of {len(mistakes):,} mistakes {counted}"
    image_grid(path, load_images(shown), captions, WALL_COLUMNS, title, note)


def _caption(answers: Answers, index: int) -> str:
    """File, what it is filed as, and the answer with its probability, as `predict` would give it."""
    answer = int(answers.y_pred[index])
    probability = answers.y_prob[index] if answer == 1 else 1 - answers.y_prob[index]
    file, stored, given = map(printable, (answers.paths[index], *answers.class_names[:: 1 if answer else -1]))
    seen = f"unsure, rather {given}" if answers.unsure[index] else f"seen as {given}, {100 * probability:.1f}%"
    return f"{file}\nfiled as {stored}\n{seen}"
