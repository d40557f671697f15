"""`predictions.csv`: every label and answer of a run, so that two runs can be compared picture by picture later."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dogvscat.atomic import write_csv
from dogvscat.errors import ModelError
from dogvscat.judging.answers import Answers
from dogvscat.labels import ClassNames

_PROBABILITY = "probability_"


def write_predictions(path: Path, splits: Iterable[Answers]) -> None:
    """Write one row a picture: path, label, split, both probabilities, prediction, unsure.

    The columns of the probabilities are named after the classes. `prediction` is the class decided on, also where
    `unsure` is yes. Probabilities are written in full, so that reading gives the same numbers back.

    Raises:
        ValueError: if the splits are not of the same classes, or there is none.
        WriteError: if the file could not be written.
    """
    splits = list(splits)
    class_names = {answers.class_names for answers in splits}
    if len(class_names) != 1:
        raise ValueError(f"expected answers about one pair of classes, received {sorted(class_names)}")
    (names,) = class_names
    header = ["path", "label", "split", *(f"{_PROBABILITY}{name}" for name in names), "prediction", "unsure"]
    write_csv(path, header, (row for answers in splits for row in _rows(answers)))


def read_predictions(path: Path) -> dict[str, Answers]:
    """The answers that `write_predictions` wrote, by split, in the order of the file.

    Raises:
        ModelError: if there is no such file or it is not one of these.
    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        class_names = _class_names(header)
        splits = list(dict.fromkeys(row[2] for row in rows))
        return {split: _answers(split, class_names, [row for row in rows if row[2] == split]) for split in splits}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from None
    except (csv.Error, ValueError, IndexError) as error:
        hint = "It is written into the run folder by `dogvscat train` and `dogvscat evaluate`."
        raise ModelError(f"{path} is not a table of predictions: {error}", hint=hint) from None


def _rows(answers: Answers) -> Iterable[list[object]]:
    for i, path in enumerate(answers.paths):
        label, prediction = answers.class_names[answers.y_true[i]], answers.class_names[answers.y_pred[i]]
        positive = float(answers.y_prob[i])
        yield [path, label, answers.split, 1 - positive, positive, prediction, "yes" if answers.unsure[i] else "no"]


def _class_names(header: list[str]) -> ClassNames:
    names = [column.removeprefix(_PROBABILITY) for column in header if column.startswith(_PROBABILITY)]
    expected = ["path", "label", "split", *(f"{_PROBABILITY}{name}" for name in names), "prediction", "unsure"]
    if len(names) != 2 or header != expected:
        raise ValueError(f"expected the columns of a predictions table, received {header}")
    return names[0], names[1]


def _answers(split: str, class_names: ClassNames, rows: list[list[str]]) -> Answers:
    return Answers(
        split,
        class_names,
        tuple(row[0] for row in rows),
        np.array([class_names.index(row[1]) for row in rows], dtype=np.int64),
        np.array([float(row[4]) for row in rows]),
        np.array([class_names.index(row[5]) for row in rows], dtype=np.int64),
        np.array([row[6] == "yes" for row in rows]),
    )
