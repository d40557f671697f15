"""A person's decisions about suspected labels, one photo after the other.

A folder holds two tables of the form of `relabel.py`: `suspects.csv`, the photos to look at, and `relabel.csv`, the
decisions in the order in which they were made. The last row is what an undo takes back, and a suspect without a row is
still to be decided. So a review that was killed continues with the photo that was on the page.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

from dogvscat import atomic
from dogvscat.errors import DataError
from dogvscat.labels import LEAVE_OUT, ClassNames
from dogvscat.photos.relabel import Correction, read_corrections, write_corrections

SUSPECTS_FILE = "suspects.csv"
DECISIONS_FILE = "relabel.csv"


class StaleDecision(DataError):
    """A decision about a photo that is not the current one any more: it was decided in another window."""

    code = "stale"


class LabelReview:
    """The suspects of one folder and the decisions about them. Several threads may use it.

    Args:
        folder: Has `suspects.csv` or, from an audit, a `relabel.csv` with proposals, which becomes `suspects.csv`,
            because none of its rows is a decision of a person yet. The caller holds the lock of the folder.
        class_names: The classes of the photos.

    Raises:
        DataError: if a table is missing or malformed.
        WriteError: if the folder cannot be written to.
    """

    def __init__(self, folder: Path, class_names: ClassNames) -> None:
        self.class_names = class_names
        self.decisions_file = folder / DECISIONS_FILE
        self._lock = Lock()
        suspects_file = folder / SUSPECTS_FILE
        if not suspects_file.exists() and self.decisions_file.exists():
            read_corrections(self.decisions_file, class_names)  # a malformed table keeps its name
            with atomic.wrap_write_errors(suspects_file):
                self.decisions_file.replace(suspects_file)  # a single step: there is no moment with two tables
            atomic.flush_folder(folder)
        self._suspects: dict[str, Correction] = {}
        for row in read_corrections(suspects_file, class_names):
            self._suspects.setdefault(row.sha256, row)  # a correction applies to all files with its sha256
        if not self.decisions_file.exists():
            write_corrections(self.decisions_file, [])  # where it exists, an audit writes no proposals
        rows = read_corrections(self.decisions_file, class_names)
        # Rows that a person has added come first, so that they are never taken for the last decision.
        self._decisions = sorted(rows, key=lambda row: row.sha256 in self._suspects)

    @property
    def num_suspects(self) -> int:
        """Number of photos to decide, decided ones included."""
        return len(self._suspects)

    @property
    def decisions(self) -> Sequence[Correction]:
        """The decisions about suspects, the last one at the end."""
        return [row for row in self._decisions if row.sha256 in self._suspects]

    def suspect(self, sha256: str) -> Correction | None:
        """The suspect with this digest, as proposed by the audit; None if there is none."""
        return self._suspects.get(sha256)

    def undecided(self) -> list[Correction]:
        """The suspects that are still to be decided; the first one is the current one."""
        decided = {row.sha256 for row in self._decisions}
        return [row for sha256, row in self._suspects.items() if sha256 not in decided]

    def counts(self) -> dict[str, int]:
        """Numbers of decided suspects: `relabeled`, `left_out` and `kept`."""
        counts = Counter(_outcome(row) for row in self.decisions)
        return {outcome: counts[outcome] for outcome in ("relabeled", "left_out", "kept")}

    def decide(self, sha256: str, label: str) -> None:
        """Decide the current photo, and write the table.

        Args:
            sha256: Of the photo that the person saw.
            label: The class that it should have, or `LEAVE_OUT`.

        Raises:
            StaleDecision: if this is not the current photo.
            DataError: if `label` is neither a class nor `LEAVE_OUT`.
            WriteError: if the table cannot be written; the photo is still to be decided then.
        """
        if label not in (*self.class_names, LEAVE_OUT):
            message = f"expected one of {', '.join((*self.class_names, LEAVE_OUT))}, received {label!r}"
            raise DataError(message)
        with self._lock:
            undecided = self.undecided()
            if not undecided or undecided[0].sha256 != sha256:
                raise _stale()
            probability = _probability_of(undecided[0], label, self.class_names)
            row = replace(undecided[0], suggestion=label, probability_of_suggestion=probability)
            self._write([*self._decisions, row])

    def undo(self, sha256: str) -> None:
        """Take back the last decision, and write the table.

        Args:
            sha256: Of the photo that was decided last.

        Raises:
            StaleDecision: if another photo was decided last, or none.
            WriteError: if the table cannot be written; the decision still counts then.
        """
        with self._lock:
            decisions = self.decisions
            if not decisions or decisions[-1].sha256 != sha256:
                raise _stale()
            self._write(self._decisions[:-1])

    def _write(self, decisions: list[Correction]) -> None:
        write_corrections(self.decisions_file, decisions)
        self._decisions = decisions


def has_suspects(folder: Path) -> bool:
    """Whether a folder holds suspects to review, so that the photos need not be audited first."""
    return any((folder / name).exists() for name in (SUSPECTS_FILE, DECISIONS_FILE))


def class_probabilities(suspect: Correction, class_names: ClassNames) -> dict[str, float] | None:
    """The probability of each class by networks that did not learn from the suspect. None if the table has no
    probability, as for photos about which the networks are undecided."""
    try:
        probability = float(suspect.probability_of_suggestion.replace(",", "."))  # as some spreadsheets write it
    except ValueError:
        return None
    if suspect.suggestion not in class_names or not 0 <= probability <= 1:
        return None
    return {name: probability if name == suspect.suggestion else 1 - probability for name in class_names}


def _probability_of(suspect: Correction, label: str, class_names: ClassNames) -> str:
    probabilities = class_probabilities(suspect, class_names) or {}
    return f"{probabilities[label]:.4f}" if label in probabilities else ""


def _outcome(decision: Correction) -> str:
    if decision.suggestion == LEAVE_OUT:
        return "left_out"
    return "kept" if decision.suggestion == decision.filed_as else "relabeled"


def _stale() -> StaleDecision:
    return StaleDecision("photos were decided in another window; the page shows the current photo now")
