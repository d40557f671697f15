"""The figures of the finished epochs, one row each: what a row holds, and which values are possible."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

_LIMITS = {
    "epoch": (1, 10_000),
    "loss": (-1e-3, math.inf),
    "accuracy": (0.0, 1.0),
    "val_loss": (-1e-3, math.inf),
    "val_accuracy": (0.0, 1.0),
    "learning_rate": (0.0, 10.0),
    "seconds": (0.0, 1e8),  # three years
}
"""Smallest and largest value of each column; a loss of zero may be rounded to less."""
HISTORY_COLUMNS = tuple(_LIMITS)


def refuse_impossible_history(rows: Sequence[Mapping[str, Any]]) -> None:
    """Check the rows of a history that was read from a file.

    Raises:
        ValueError: if a row has other columns than `HISTORY_COLUMNS`, if a value is not a number or is out of its
            range, or if the epochs are not numbered from 1.
    """
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping) or tuple(row) != HISTORY_COLUMNS:
            raise ValueError(f"epoch {number}: expected the columns {', '.join(HISTORY_COLUMNS)}")
        for name, (least, most) in _LIMITS.items():
            value = row[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ValueError(f"epoch {number}: {name} should lie between {least:g} and {most:g}, received {value}")
            if not math.isfinite(value):
                raise ValueError(f"epoch {number}: {name} should be a finite number, received {value}")
        if row["epoch"] != number:
            raise ValueError(f"epoch {number}: its row has the number {row['epoch']:g}")
