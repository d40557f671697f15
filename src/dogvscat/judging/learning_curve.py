"""How many photos does it take? The accuracy that `fast` has reached with several numbers of photos, and the sentence
for a small training set."""

import csv
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from dogvscat.text import pluralize

ROWS_FILE = Path(__file__).with_name("learning_curve.csv")
"""One row per training of the recipe `fast` on the public photos of cats and dogs. Written by
`benchmarks/learning_curve.py --publish`; no figure in it, or derived from it, is an estimate."""
SMALL_TRAINING_SET = 5_000
"""Below this number of training photos, a training and its report say what more photos would bring."""


@dataclass(frozen=True)
class CurvePoint:
    """What was measured with one number of training photos."""

    num_photos: int
    accuracies: tuple[float, ...]
    """Validation accuracy of each seed, in 0..1."""
    train_accuracy: float
    """Accuracy on the training photos themselves, the mean over seeds."""
    n: int
    """Validation photos."""

    @property
    def accuracy(self) -> float:
        """Validation accuracy, the mean over seeds."""
        return mean(self.accuracies)


def load_points(file: Path = ROWS_FILE) -> list[CurvePoint]:
    """The measured points, fewest photos first."""
    rows_by_size: dict[int, list[dict[str, str]]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            rows_by_size.setdefault(int(row["photos"]), []).append(row)
    return [
        CurvePoint(
            num_photos,
            tuple(float(row["accuracy"]) for row in rows),
            mean(float(row["train_accuracy"]) for row in rows),
            int(rows[0]["n"]),
        )
        for num_photos, rows in sorted(rows_by_size.items())
    ]


def describe_small_set(num_train: int, rows_file: Path = ROWS_FILE) -> str | None:
    """What so few training photos can give, and what more would bring, from measured points only.

    Args:
        num_train: Number of training photos.
        rows_file: The measured rows.

    Returns:
        None if they are not few, or if nothing was measured with more photos.
    """
    points = load_points(rows_file)
    larger = [point for point in points if point.num_photos > num_train]
    if num_train >= SMALL_TRAINING_SET or not larger:
        return None
    # The nearest measured points on both sides, and what ten times as many photos bring.
    tenfold = next((point for point in larger if point.num_photos >= 10 * num_train), larger[-1])
    nearest = [*(point for point in points if point.num_photos <= num_train)][-1:] + larger[:1]
    listed = [f"{100 * point.accuracy:.0f}% with {point.num_photos:,}" for point in dict.fromkeys([*nearest, tenfold])]
    measured = " and ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
    return (
        f"{pluralize(num_train, 'training photo')}: more would help. Measured with the recipe `fast` on photos of cats "
        f"and dogs, validation accuracy is {measured} training photos."
    )
