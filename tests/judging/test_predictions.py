import csv

import numpy as np
import pytest

from dogvscat.errors import ModelError
from dogvscat.judging.answers import Answers
from dogvscat.judging.predictions import read_predictions, write_predictions

ODD_NAMES = [
    "cat/plain.jpg",
    'cat/with, comma and "quotes".jpg',
    "cat/line\nbreak.jpg",
    "cat/carriage\rreturn\r\n.jpg",
    "cat/not utf-8 \udcff\udcfe.jpg",
    " leading space.jpg",
    "dog/=formula().jpg",
    "dog/\u732b \U0001f431 \u202egpj.jpg",
    "",
]


def answers(split: str, paths: list[str], class_names: tuple[str, str] = ("cat", "dog")) -> Answers:
    rng = np.random.default_rng(len(paths))
    n = len(paths)
    y_prob = rng.uniform(size=n)
    y_prob[0], y_prob[-1] = 0.0, 1.0
    return Answers(split, class_names, paths, rng.integers(0, 2, n), y_prob, rng.integers(0, 2, n), y_prob > 0.5)


def test_what_is_written_is_read_back_exactly(tmp_path):
    written = {"validation": answers("validation", ODD_NAMES), "train": answers("train", ["a", "b"])}
    write_predictions(tmp_path / "predictions.csv", written.values())
    read = read_predictions(tmp_path / "predictions.csv")
    assert list(read) == ["validation", "train"]
    for split, expected in written.items():
        assert list(read[split].paths) == list(expected.paths)
        assert read[split].class_names == ("cat", "dog")
        for name in ("y_true", "y_prob", "y_pred", "unsure"):
            assert np.array_equal(getattr(read[split], name), getattr(expected, name)), name


def test_the_table_is_plain_csv_for_other_tools(tmp_path):
    y_prob = np.array([0.25])
    one = Answers("test", ("hot dog", "pizza, slice"), ["p.jpg"], np.array([1]), y_prob, np.array([0]), y_prob > 0)
    write_predictions(tmp_path / "predictions.csv", [one])
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["path", "label", "split", "probability_hot dog", "probability_pizza, slice", "prediction", "unsure"],
            ["p.jpg", "pizza, slice", "test", "0.75", "0.25", "hot dog", "yes"],
        ]
    assert read_predictions(tmp_path / "predictions.csv")["test"].class_names == ("hot dog", "pizza, slice")


def test_answers_about_different_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one pair of classes"):
        write_predictions(tmp_path / "p.csv", [answers("a", ["x"]), answers("b", ["x"], ("cow", "pig"))])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\n",
        "path,label,split,probability_cat,probability_dog,prediction,unsure\na,cat,test,0.5,0.5\n",
        "path,label,split,probability_cat,probability_dog,prediction,unsure\na,cow,test,0.5,0.5,cat,no\n",
        "path,label,split,probability_cat,probability_dog,prediction,unsure\na,cat,test,0.5,half,cat,no\n",
        'path,label,split,probability_cat,probability_dog,prediction,unsure\n"a,cat,test',
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ModelError, match=r"p\.csv is not a table of predictions"):
        read_predictions(tmp_path / "p.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.csv cannot be read: No such file"):
        read_predictions(tmp_path / "none.csv")
