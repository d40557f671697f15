import numpy as np
import pytest

from dogvscat.errors import DataError, ModelError
from dogvscat.judging.answers import Answers
from dogvscat.judging.decision import Decision, Logits

NAMES = ("cat", "dog")


def test_decided_answers_follow_the_decision():
    logits = np.array([-4.0, 0.1, 4.0])
    answers = Answers.decided(
        "test", NAMES, ["a", "b", "c"], np.array([0, 1, 1]), Logits(logits), Decision(2, 0.5, 0.4, 0.6)
    )
    assert answers.n == 3
    assert answers.y_pred.tolist() == [0, 1, 1]
    assert answers.unsure.tolist() == [False, True, False]
    assert answers.y_prob == pytest.approx(1 / (1 + np.exp(-logits / 2)))


def test_mistakes_come_most_confident_first():
    y_true, y_prob = np.array([0, 1, 0, 1, 0]), np.array([0.6, 0.01, 0.2, 0.3, 0.999])
    answers = Answers("all", NAMES, list("abcde"), y_true, y_prob, (y_prob >= 0.5).astype(int), np.zeros(5, bool))
    assert answers.mistakes().tolist() == [4, 1, 3, 0]


def test_no_picture_is_an_error_that_says_so():
    with pytest.raises(DataError, match="no labelled picture to judge in 'validation'"):
        Answers.decided("validation", NAMES, [], np.zeros(0, int), Logits(np.zeros(0)), Decision())


def test_answers_that_do_not_fit_are_refused():
    one = np.array([1])
    with pytest.raises(ValueError, match=r"expected four arrays of shape \(2,\)"):
        Answers("all", NAMES, ["a", "b"], one, one * 0.5, one, one > 2)
    with pytest.raises(ValueError, match=r"only 0 and 1 in y_true, received \[2\]"):
        Answers("all", NAMES, ["a"], one * 2, one * 0.5, one, one > 2)
    with pytest.raises(ModelError, match=r"probabilities from 0 to 1, received 1.5 to 1.5"):
        Answers("all", NAMES, ["a"], one, one * 1.5, one, one > 2)
    with pytest.raises(ModelError, match="not a finite number for 1 of 1 pictures"):
        Answers("all", NAMES, ["a"], one, one * np.nan, one, one > 2)
