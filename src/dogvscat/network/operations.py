"""What a network computes: its layers as simple operations in order, with shapes, weights and cost.

The Keras model, the ONNX graph, the table and the picture are all made from this list, so they agree with each other.

The kinds of operations. x is the first input; pictures have the shape (height, width, channels), features (count,).

- `scaling` (`scale`): x * scale, from uint8 pixels 0..255 to float 0..1
- `brightness` (`weights`, of red, green, blue): their weighted sum, (height, width, 1)
- `subtract`, `add`: x minus or plus the second input, which is broadcast over channels if it has only one
- `multiply`: x times the second input, (1, 1, channels), which is broadcast over positions
- `conv` (`kernel`, `stride`, `padding`, `pads`, `bias`): cross-correlation, which is called convolution in networks
- `norm` (`epsilon`, `momentum`, `zero_gamma`): gamma (x - mean) / sqrt(variance + epsilon) + beta, over the last axis
- `relu`: max(x, 0)
- `leaky_relu` (`slope`): x; below zero, slope * x
- `elu`: x; below zero, exp(x) - 1
- `silu` (`function`, its name): x * sigmoid(x)
- `sigmoid` (`function`, its name): 1 / (1 + exp(-x))
- `max_pool` (`size`, `stride`, `padding`, `pads`): the largest value of each square
- `average_pool` (the same): the mean of each square, in which positions of the padding are left out
- `dropout` (`rate`): x itself when predicting
- `flatten`: (height * width * channels,), in this order
- `mean` (`keeps_axes`): over all positions, (channels,), or (1, 1, channels) if it keeps the axes
- `dense` (`bias`): x @ weight + bias

`pads` are the rows (and columns) of padding before and after the picture; they are (0, 0) for `valid`. With `same` the
output has ceil(side / stride) positions, and where the padding is uneven, the larger half comes after. `momentum` and
`zero_gamma` (gamma is 0 at first, else 1) matter in training only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from dogvscat.network.layers import Flatten
from dogvscat.network.text import Stage

PIXELS = "pixels"
"""The input: uint8 (image_size, image_size, 3), red, green and blue."""
LOGIT = "logit"
"""The last operation, a `dense` in float32: (1,), or (2,) if the second is the logit of showing neither class."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness, by ITU-R BT.601."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One step of the computation."""

    name: str
    """Unique: `stage1.block1.conv1`. It starts with the name of its layer, and is that name if the layer is one
    operation."""
    kind: str
    """As in the table of this module."""
    inputs: tuple[str, ...]
    """Names of the operations whose outputs it takes, in order; or `pixels`."""
    settings: Mapping[str, Any]
    """As in the table of this module."""
    output_shape: Shape
    """For one image: (height, width, channels) or (features,)."""
    weights: Mapping[str, Shape]
    """Names and shapes, in the order in which Keras keeps them. Of `conv`: `NAME.weight` (height, width, channels in,
    channels out) and `NAME.bias` (channels out,) if `bias`. Of `dense`: `NAME.weight` (in, out) and `NAME.bias`. Of
    `norm`: `NAME.gamma`, `NAME.beta`, `NAME.mean`, `NAME.variance` (channels,) each; the last two are measured, not
    learned."""
    macs: int
    """Multiplications, each with an addition, of one image: those of `conv` and `dense`; the others cost little."""
    receptive_field: int
    """Side of the square of the image on which one position of the output depends, in pixels; at most the image."""
    layer: int
    """Number of its layer in the network, from 1; 0 for the scaling, one more than the last for the logit."""
    kernels_before: int
    """How many kernels (of `conv` and `dense`) come before it; it decides the seed of its first weights."""

    @property
    def num_weights(self) -> int:
        """The number of its weights."""
        return sum(prod(shape) for shape in self.weights.values())


def takes_any_size(stages: Sequence[Stage]) -> bool:
    """Whether a network has the same weights for images of every size."""
    return not any(isinstance(layer, Flatten) for stage in stages for layer in stage.layers)


def class_activation_source(operations: Sequence[Operation]) -> str | None:
    """The operation from whose output the class activation map is made: the layer of the logit is applied to each
    position of it. None for a network that does not end in a mean over positions.

    The logit is w . mean(f) + b over the features f of all positions. That is linear, so it equals mean(w . f + b): the
    last layer, applied to each position before the mean, gives what that position adds to the logit (Zhou et al. 2016).
    """
    by_name = {operation.name: operation for operation in operations}
    operation = by_name[by_name[LOGIT].inputs[0]]
    while operation.kind == "dropout":
        operation = by_name[operation.inputs[0]]
    return operation.inputs[0] if operation.kind == "mean" else None
