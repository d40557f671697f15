"""What is evaluated: the epochs of a training, and the labels and predictions of one split, image by image.

Everything else in this package reads `History` and `Predictions`. The table `predictions.csv` lets two runs be compared
image by image later.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from dogvscat.atomic import write_csv
from dogvscat.errors import DataError, ModelError
from dogvscat.judging.decision import Decision, Logits
from dogvscat.labels import ClassNames
from dogvscat.text import pluralize, printable, unescape_cell

_PROBABILITY = "probability_"


@dataclass(frozen=True)
class History:
    """The epochs of one training.

    Args:
        rows: One mapping per epoch, in order, with the keys epoch, loss, accuracy, val_loss, val_accuracy,
            learning_rate and seconds. `loss` and `accuracy` are of the training images as the network saw them:
            augmented, with dropout on. None stands for a value that was not a finite number.
        best_epoch: The epoch, as numbered in the rows, whose weights were kept.
        stopped_early: Whether early stopping ended the training before its last planned epoch.
        num_train: Number of training images.
        num_validation: Number of validation images.
        train_conditions: How the training metrics differ from those of validation, such as `augmented, with dropout`.

    Raises:
        ValueError: if there is no row, or the best epoch is not among them.
    """

    rows: Sequence[Mapping[str, float | None]]
    best_epoch: int
    stopped_early: bool
    num_train: int
    num_validation: int
    train_conditions: str = ""

    columns: dict[str, np.ndarray] = field(init=False)
    """The columns of the rows, float64 (epochs,) each, NaN where the value was not a finite number."""
    best_index: int = field(init=False)
    """Position of the best epoch among the rows."""
    last_epoch: int = field(init=False)
    """Number of the last epoch that was trained."""

    def __post_init__(self) -> None:
        epochs = [row["epoch"] for row in self.rows]
        if self.best_epoch not in epochs:
            raise ValueError(f"expected best_epoch among {len(self.rows)} rows of epochs, received {self.best_epoch}")
        columns = {
            name: np.array([np.nan if row[name] is None else row[name] for row in self.rows], dtype=np.float64)
            for name in self.rows[0]
        }
        # A frozen class has no other way to fill in fields.
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "best_index", epochs.index(self.best_epoch))
        object.__setattr__(self, "last_epoch", int(epochs[-1] or 0))


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labels and predictions, image by image.

    Args:
        split: `train`, `validation`, `test`, or another word for the images, such as `all`.
        class_names: Names of the classes 0 and 1; class 1 is the positive one.
        paths: The photos, as their source knows them, in the order of the arrays.
        y_true: int64 (n,) of 0 and 1, the stored labels.
        y_prob: float64 (n,), probability of the positive class.
        y_pred: int64 (n,) of 0 and 1, the predicted class.
        unsure: bool (n,), whether the answer is given as "unsure".

    Raises:
        DataError: if there is no image.
        ModelError: if a probability is not a number from 0 to 1.
        ValueError: if the arrays do not fit together.
    """

    split: str
    class_names: ClassNames
    paths: Sequence[str]
    y_true: np.ndarray
    y_prob: np.ndarray
    y_pred: np.ndarray
    unsure: np.ndarray
    n: int = field(init=False)
    """Number of images."""
    split_words: str = field(init=False)
    """The adjective for the images, as the function `split_words` gives it."""
    mistakes: np.ndarray = field(init=False)
    """Indices of the wrong predictions, the most confident first: int64 (num_mistakes,)."""

    def __post_init__(self) -> None:
        shapes = [np.shape(array) for array in (self.y_true, self.y_prob, self.y_pred, self.unsure)]
        if shapes != [(len(self.paths),)] * 4:
            raise ValueError(f"expected four arrays of shape {(len(self.paths),)}, received {shapes}")
        if not len(self.paths):
            raise DataError(
                f"there is no labeled photo in the split {self.split!r}, expected at least one to evaluate on",
                hint="Check the folder, or see `dogvscat audit` for what was left out.",
            )
        for name, labels in (("y_true", self.y_true), ("y_pred", self.y_pred)):
            if not np.isin(labels, (0, 1)).all():
                raise ValueError(f"expected only 0 and 1 in {name}, received {np.unique(labels).tolist()}")
        check_finite(self.y_prob)
        if np.min(self.y_prob) < 0 or np.max(self.y_prob) > 1:
            raise ModelError(
                f"expected probabilities from 0 to 1, received {np.min(self.y_prob):.3g} to {np.max(self.y_prob):.3g}"
            )
        wrong = np.flatnonzero(self.y_pred != self.y_true)
        # A mistake is the more confident the further its probability lies from the label.
        by_confidence = np.argsort(-np.abs(self.y_prob - self.y_true)[wrong], kind="stable")
        # A frozen class has no other way to fill in fields.
        object.__setattr__(self, "n", len(self.paths))
        object.__setattr__(self, "split_words", split_words(self.split))
        object.__setattr__(self, "mistakes", wrong[by_confidence])

    @classmethod
    def from_logits(
        cls,
        split: str,
        class_names: ClassNames,
        paths: Sequence[str],
        y_true: np.ndarray,
        logits: Logits,
        decision: Decision,
    ) -> Self:
        """The predictions that a decision makes from a network's logits.

        Raises:
            DataError: if there is no image.
            ModelError: if a logit is not a finite number.
        """
        check_finite(logits.positive)
        y_prob = decision.probabilities(logits.positive)
        unsure = decision.is_unsure(y_prob, logits.neither)
        return cls(split, class_names, paths, y_true, y_prob, decision.predict(y_prob), unsure)


def check_finite(outputs: np.ndarray) -> None:
    """Refuse the outputs of a network that diverged.

    Raises:
        ModelError: if any is not a finite number.
    """
    if num_bad := int(np.sum(~np.isfinite(outputs))):
        raise ModelError(
            f"the network's output is not a finite number for {num_bad:,} of {np.size(outputs):,} images",
            hint="Its training diverged; train again with a smaller training.learning_rate.",
        )


def num_images(n: int, split: str) -> str:
    """A number of images in words: `1 training image`, `2,500 validation images`, `7 images` for the split `all`."""
    return pluralize(n, " ".join(word for word in (split_words(split), "image") if word))


def split_words(split: str) -> str:
    """The adjective for the images of a split: `training` for `train`, nothing for `all`."""
    return {"train": "training", "all": ""}.get(split, printable(split))


def write_predictions(path: Path, splits: Iterable[Predictions]) -> None:
    """Write one row per image: path, label, split, both probabilities, prediction, unsure.

    The columns of the probabilities are named after the classes. `prediction` is the predicted class, also where
    `unsure` is yes. Probabilities are written with all their digits, so that reading gives the same numbers back.

    Raises:
        ValueError: if the splits are not of the same classes, or there is none.
        WriteError: if the file could not be written.
    """
    splits = list(splits)
    class_names = {predictions.class_names for predictions in splits}
    if len(class_names) != 1:
        raise ValueError(f"expected predictions of one pair of classes, received {sorted(class_names)}")
    (names,) = class_names
    write_csv(path, _header(names), (row for predictions in splits for row in _rows(predictions)))


def read_predictions(path: Path) -> dict[str, Predictions]:
    """The predictions that `write_predictions` wrote, by split, in the order of the file.

    Raises:
        ModelError: if there is no such file, or it is not a table of predictions.
    """
    try:
        # Names of files may hold bytes that are not UTF-8; surrogates carry them to their photos unchanged.
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        table = csv.reader(io.StringIO(text, newline=""), strict=True)
        header, *rows = ([*map(unescape_cell, row)] for row in table)
        class_names = _class_names(header)
        if not rows:
            raise ValueError("it has no row")
        splits = list(dict.fromkeys(row[2] for row in rows))  # unique, in the order of the file
        return {split: _from_rows(split, class_names, [row for row in rows if row[2] == split]) for split in splits}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from None
    except (csv.Error, ValueError, IndexError, ModelError) as error:
        hint = "It is written into the run folder by `dogvscat train` and `dogvscat evaluate`."
        raise ModelError(f"{path} is not a table of predictions: {error}", hint=hint) from None


def _header(names: Sequence[str]) -> list[str]:
    return ["path", "label", "split", *(f"{_PROBABILITY}{name}" for name in names), "prediction", "unsure"]


def _rows(predictions: Predictions) -> Iterable[list[object]]:
    names, split = predictions.class_names, predictions.split
    for i, path in enumerate(predictions.paths):
        label, prediction = names[predictions.y_true[i]], names[predictions.y_pred[i]]
        positive = float(predictions.y_prob[i])
        # Class 0 first, as in the header.
        yield [path, label, split, 1 - positive, positive, prediction, "yes" if predictions.unsure[i] else "no"]


def _class_names(header: list[str]) -> ClassNames:
    names = [column.removeprefix(_PROBABILITY) for column in header if column.startswith(_PROBABILITY)]
    if len(names) != 2 or header != _header(names):
        raise ValueError(f"expected the columns of a predictions table, received {header}")
    return names[0], names[1]


def _from_rows(split: str, class_names: ClassNames, rows: list[list[str]]) -> Predictions:
    for row in rows:
        _refuse_impossible_row(row)
    if len({row[0] for row in rows}) < len(rows):
        raise ValueError(f"a photo has two rows in the split {split!r}")
    # Columns as in `_header`; the probability of the positive class is column 4.
    return Predictions(
        split,
        class_names,
        tuple(row[0] for row in rows),
        np.array([class_names.index(row[1]) for row in rows], dtype=np.int64),
        np.array([float(row[4]) for row in rows]),
        np.array([class_names.index(row[5]) for row in rows], dtype=np.int64),
        np.array([row[6] == "yes" for row in rows]),
    )


def _refuse_impossible_row(row: list[str]) -> None:
    if len(row) != 7:
        raise ValueError(f"expected 7 columns, received {len(row)}: {row[:2]}")
    y_prob = float(row[3]), float(row[4])
    # Written as one number and its difference from 1, so only rounding can separate their sum from 1.
    if not (all(0 <= probability <= 1 for probability in y_prob) and abs(sum(y_prob) - 1) < 1e-9):
        raise ValueError(f"expected two probabilities that add up to 1 for {row[0]!r}, received {row[3]} and {row[4]}")
    if row[6] not in ("yes", "no"):
        raise ValueError(f"expected yes or no in the column unsure for {row[0]!r}, received {row[6]!r}")
