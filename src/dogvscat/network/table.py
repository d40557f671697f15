"""A network as a table: one row per layer, with its output, weights and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dogvscat.network.operations import LOGIT, Operation, Shape
from dogvscat.network.text import Stage, named_layers


@dataclass(frozen=True)
class LayerRow:
    """One layer of a network; the scaling of the pixels is the first, the logit the last."""

    name: str
    """Such as `stage2.block1`."""
    stage: str
    """Empty outside of stages."""
    text: str
    """As it is written in the settings."""
    output_shape: Shape
    """For one image: (height, width, channels) or (features,)."""
    num_weights: int
    macs: int
    """Multiplications, each with an addition, for one image."""
    receptive_field: int
    """Side of the square of the image on which one position of the output depends, in pixels."""
    share: float
    """Share of the time of a prediction if that was measured, otherwise of the multiplications; 0 to 1."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**self.__dict__, "output_shape": list(self.output_shape)}


def layer_rows(
    stages: Sequence[Stage], operations: Sequence[Operation], seconds: Mapping[str, float] | None = None
) -> list[LayerRow]:
    """The rows of a network.

    Args:
        stages: Its layers.
        operations: What they expand to.
        seconds: Measured time by the name of the operation; None if it was not measured.
    """
    texts = {0: ("scaling", "", "pixels / 255")}
    texts |= {named.number: (named.name, named.stage, named.layer.text) for named in named_layers(stages)}
    texts[len(texts)] = (LOGIT, "", "logit" if operations[-1].output_shape == (1,) else "2 logits")
    costs = {
        operation.name: float(operation.macs) if seconds is None else seconds.get(operation.name, 0.0)
        for operation in operations
    }
    total = sum(costs.values()) or 1.0
    rows = []
    for number, (name, stage, text) in texts.items():
        members = [operation for operation in operations if operation.layer == number]
        rows.append(
            LayerRow(
                name,
                stage,
                text,
                members[-1].output_shape,
                sum(operation.num_weights for operation in members),
                sum(operation.macs for operation in members),
                max(operation.receptive_field for operation in members),
                sum(costs[operation.name] for operation in members) / total,
            )
        )
    return rows


def table_lines(rows: Sequence[LayerRow], share_title: str) -> list[str]:
    """The table as text, with a last line of sums.

    Args:
        rows: From `layer_rows`.
        share_title: What the shares are shares of, such as `time`.
    """
    cells: list[tuple[str, ...]] = [("layer", "as written", "output", "weights", "MACs", "sees", share_title)]
    for row in rows:
        share = f"{row.share:.1%}" if row.share else ""
        counts = [f"{count:,}" if count else "" for count in (row.num_weights, row.macs)]
        cells.append((row.name, row.text, shape_text(row.output_shape), *counts, f"{row.receptive_field} px", share))
    sums = [f"{sum(counts):,}" for counts in zip(*((row.num_weights, row.macs) for row in rows), strict=True)]
    cells.append(("all", "", "", *sums, "", ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" if column < 3 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def shape_text(shape: Shape) -> str:
    """A shape for people: `44 x 44 x 64`, or `192` features."""
    return " x ".join(map(str, shape))
