"""Decisions about suspected labels: their order, undo, restarts, and tables that people have edited."""

from pathlib import Path

import pytest

from dogvscat.errors import DataError, WriteError
from dogvscat.labels import LEAVE_OUT
from dogvscat.photos.label_review import LabelReview, StaleDecision, class_probabilities, has_suspects
from dogvscat.photos.relabel import Correction, read_corrections, read_relabeling, write_corrections

NAMES = ("cat", "dog")
SUSPECTS = [
    Correction("cat/a.jpg", f"{1:064x}", "cat", "dog", "0.9812"),
    Correction("dog/=b.jpg", f"{2:064x}", "dog", "cat", "0.7500"),
    Correction("dog/copy of b.jpg", f"{2:064x}", "dog", "cat", "0.7500"),
    Correction("cat/c.jpg", f"{3:064x}", "cat", LEAVE_OUT, ""),
]


def sha(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As `audit --labels` leaves it."""
    write_corrections(tmp_path / "relabel.csv", SUSPECTS)
    return tmp_path


def decisions(folder: Path) -> list[tuple[str, str, str]]:
    rows = read_corrections(folder / "relabel.csv", NAMES)
    return [(row.path, row.suggestion, row.probability_of_suggestion) for row in rows]


def test_proposals_are_not_decisions(folder: Path) -> None:
    proposed = (folder / "relabel.csv").read_bytes()
    review = LabelReview(folder, NAMES)
    assert (folder / "suspects.csv").read_bytes() == proposed
    assert read_relabeling(folder / "relabel.csv", NAMES).suggestions == {}
    assert review.num_suspects == 3  # copies are decided together
    assert [row.path for row in review.undecided()] == ["cat/a.jpg", "dog/=b.jpg", "cat/c.jpg"]


def test_every_decision_is_on_the_disk_at_once_and_survives_a_restart(folder: Path) -> None:
    review = LabelReview(folder, NAMES)
    expected = []
    for number, label, row in [
        (1, "dog", ("cat/a.jpg", "dog", "0.9812")),
        (2, "dog", ("dog/=b.jpg", "dog", "0.2500")),
        (3, LEAVE_OUT, ("cat/c.jpg", LEAVE_OUT, "")),
    ]:
        review.decide(sha(number), label)
        expected.append(row)
        assert decisions(folder) == expected
        review = LabelReview(folder, NAMES)
    assert review.undecided() == []
    assert review.counts() == {"relabeled": 1, "left_out": 1, "kept": 1}
    assert read_relabeling(folder / "relabel.csv", NAMES).suggestions == {
        sha(1): "dog",
        sha(2): "dog",
        sha(3): LEAVE_OUT,
    }


def test_undo_goes_back_to_the_start_also_after_restarts(folder: Path) -> None:
    review = LabelReview(folder, NAMES)
    nothing = (folder / "relabel.csv").read_bytes()
    for number in (1, 2, 3):
        review.decide(sha(number), "cat")
    for number in (3, 2, 1):
        review = LabelReview(folder, NAMES)
        review.undo(sha(number))
        assert review.undecided()[0].sha256 == sha(number)
    assert (folder / "relabel.csv").read_bytes() == nothing
    with pytest.raises(StaleDecision):
        review.undo(sha(1))


def test_a_second_window_cannot_decide_another_photo(folder: Path) -> None:
    review = LabelReview(folder, NAMES)
    review.decide(sha(1), "dog")
    for number in (1, 3, 9):
        with pytest.raises(StaleDecision):
            review.decide(sha(number), "cat")
    with pytest.raises(StaleDecision):
        review.undo(sha(2))
    with pytest.raises(DataError, match="expected one of cat, dog, leave_out, received 'fox'"):
        review.decide(sha(2), "fox")
    assert decisions(folder) == [("cat/a.jpg", "dog", "0.9812")]


def test_rows_of_a_person_are_kept(folder: Path) -> None:
    LabelReview(folder, NAMES)
    added = Correction("cat/z.jpg", sha(9), "cat", "dog", "")
    write_corrections(folder / "relabel.csv", [SUSPECTS[0], added])
    review = LabelReview(folder, NAMES)
    assert review.undecided()[0].sha256 == sha(2)
    review.undo(sha(1))
    with pytest.raises(StaleDecision):
        review.undo(sha(9))
    review.decide(sha(1), "cat")
    assert decisions(folder) == [("cat/z.jpg", "dog", ""), ("cat/a.jpg", "cat", "0.0188")]


def test_a_decision_that_reaches_no_disk_does_not_count(folder: Path) -> None:
    review = LabelReview(folder, NAMES)
    (folder / "relabel.csv").unlink()
    (folder / "relabel.csv").mkdir()  # a rename over a folder fails, also for root
    with pytest.raises(WriteError, match=r"relabel\.csv"):
        review.decide(sha(1), "dog")
    (folder / "relabel.csv").rmdir()
    assert review.undecided()[0].sha256 == sha(1)
    review.decide(sha(1), "dog")
    assert decisions(folder) == [("cat/a.jpg", "dog", "0.9812")]


def test_a_malformed_table_is_refused_and_stays(folder: Path) -> None:
    with pytest.raises(DataError, match="expected one of cow, horse, leave_out as suggestion, received 'dog'"):
        LabelReview(folder, ("cow", "horse"))
    assert not (folder / "suspects.csv").exists()
    assert has_suspects(folder)
    with pytest.raises(DataError, match=r"suspects\.csv cannot be read"):
        LabelReview(folder / "empty", NAMES)


def test_probabilities_of_both_classes() -> None:
    first, *_, undecided = SUSPECTS
    assert class_probabilities(first, NAMES) == pytest.approx({"cat": 0.0188, "dog": 0.9812})
    assert class_probabilities(undecided, NAMES) is None
    for text, probability in [("0,75", 0.75), ("", None), ("nan", None), ("7", None), ("high", None)]:
        row = Correction("a", sha(1), "cat", "dog", text)
        assert class_probabilities(row, NAMES) == (probability and {"cat": 1 - probability, "dog": probability})
