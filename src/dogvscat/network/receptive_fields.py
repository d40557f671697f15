"""Which part of the image each position of a network's maps depends on.

Source: Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks, Distill 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dogvscat.network.operations import PIXELS, Operation


@dataclass(frozen=True)
class ReceptiveField:
    """The squares of the image that the positions of an operation's output depend on.

    The position in row r and column c depends on the pixels from row `start + r * step` and column `start + c * step`,
    `side` of them in each direction. Those outside of the image are padding.
    """

    start: int
    """First row, and column, of the first position's square; negative if it starts in the padding."""
    step: int
    """Distance between the squares of neighboring positions, in pixels."""
    side: int
    """Side of the square, in pixels; it may be larger than the image."""


def receptive_fields(operations: Sequence[Operation]) -> dict[str, ReceptiveField | None]:
    """The receptive field of each operation by its name; None for operations that depend on the whole image."""
    fields: dict[str, ReceptiveField | None] = {PIXELS: ReceptiveField(0, 1, 1)}
    for operation in operations:
        inputs = [field for name in operation.inputs if (field := fields[name])]
        sees_all = len(inputs) < len(operation.inputs) or operation.kind in ("flatten", "mean")
        fields[operation.name] = None if sees_all else _field_of(operation, inputs)
    del fields[PIXELS]
    return fields


def _field_of(operation: Operation, inputs: Sequence[ReceptiveField]) -> ReceptiveField:
    settings, step = operation.settings, inputs[0].step
    # Where two maps are added, the square is the one around both.
    start = min(field.start for field in inputs)
    end = max(field.start + field.side for field in inputs)
    window, (before, _) = settings.get("kernel", settings.get("size", 1)), settings.get("pads", (0, 0))
    return ReceptiveField(start - before * step, step * settings.get("stride", 1), end - start + (window - 1) * step)
