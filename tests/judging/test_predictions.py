import csv

import numpy as np
import pytest

from dogvscat.errors import DataError, ModelError
from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.predictions import Predictions, num_images, read_predictions, write_predictions

CLASSES = ("cat", "dog")
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


def make_predictions(split: str, paths: list[str], class_names: tuple[str, str] = ("cat", "dog")) -> Predictions:
    rng = np.random.default_rng(len(paths))
    n = len(paths)
    y_prob = rng.uniform(size=n)
    y_prob[0], y_prob[-1] = 0.0, 1.0
    return Predictions(split, class_names, paths, rng.integers(0, 2, n), y_prob, rng.integers(0, 2, n), y_prob > 0.5)


def test_predictions_follow_the_decision():
    logits = np.array([-4.0, 0.1, 4.0])
    predictions = Predictions.from_logits(
        "test", CLASSES, ["a", "b", "c"], np.array([0, 1, 1]), Logits(logits), Decision(2, 0.0, 0.4, 0.6)
    )
    assert predictions.n == 3
    assert predictions.y_pred.tolist() == [0, 1, 1]
    assert predictions.unsure.tolist() == [False, True, False]
    assert predictions.y_prob == pytest.approx(1 / (1 + np.exp(-logits / 2)))


def test_mistakes_come_most_confident_first():
    y_true, y_prob = np.array([0, 1, 0, 1, 0]), np.array([0.6, 0.01, 0.2, 0.3, 0.999])
    predictions = Predictions(
        "all", CLASSES, list("abcde"), y_true, y_prob, (y_prob >= 0.5).astype(int), np.zeros(5, bool)
    )
    assert predictions.mistakes.tolist() == [4, 1, 3, 0]


def test_a_split_without_photos_is_an_error_that_says_so():
    with pytest.raises(DataError, match="no labeled photo in the split 'validation'"):
        Predictions.from_logits("validation", CLASSES, [], np.zeros(0, int), Logits(np.zeros(0)), Decision())


def test_predictions_that_do_not_fit_are_refused():
    one = np.array([1])
    with pytest.raises(ValueError, match=r"expected four arrays of shape \(2,\)"):
        Predictions("all", CLASSES, ["a", "b"], one, one * 0.5, one, one > 2)
    with pytest.raises(ValueError, match=r"only 0 and 1 in y_true, received \[2\]"):
        Predictions("all", CLASSES, ["a"], one * 2, one * 0.5, one, one > 2)
    with pytest.raises(ModelError, match=r"probabilities from 0 to 1, received 1.5 to 1.5"):
        Predictions("all", CLASSES, ["a"], one, one * 1.5, one, one > 2)
    with pytest.raises(ModelError, match="not a finite number for 1 of 1 images"):
        Predictions("all", CLASSES, ["a"], one, one * np.nan, one, one > 2)


def test_images_of_a_split_are_counted_in_words():
    assert num_images(2500, "validation") == "2,500 validation images"
    assert num_images(20_000, "train") == "20,000 training images"
    assert num_images(1, "all") == "1 image"


def test_what_is_written_is_read_back_exactly(tmp_path):
    written = {"validation": make_predictions("validation", ODD_NAMES), "train": make_predictions("train", ["a", "b"])}
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
    one = Predictions("test", ("hot dog", "pizza, slice"), ["p.jpg"], np.array([1]), y_prob, np.array([0]), y_prob > 0)
    write_predictions(tmp_path / "predictions.csv", [one])
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["path", "label", "split", "probability_hot dog", "probability_pizza, slice", "prediction", "unsure"],
            ["p.jpg", "pizza, slice", "test", "0.75", "0.25", "hot dog", "yes"],
        ]
    assert read_predictions(tmp_path / "predictions.csv")["test"].class_names == ("hot dog", "pizza, slice")


def test_predictions_of_different_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one pair of classes"):
        write_predictions(
            tmp_path / "p.csv", [make_predictions("a", ["x"]), make_predictions("b", ["x"], ("cow", "pig"))]
        )


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
