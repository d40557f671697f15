"""Batch normalization folded into the convolution or matrix before it, and taken out again.

When predicting, a normalization multiplies each channel by a factor and adds an offset. A convolution whose kernel and
bias are scaled does the same, so one operation is enough. Not every normalization can be folded exactly:

- Behind max pooling only if no factor is negative: a negative one would turn the largest value into the smallest.
- Behind average pooling always: the mean of scaled values is the scaled mean.
- Not if a factor is 0, because nothing of the kernel would remain to be taken out again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dogvscat.network.operations import Operation

Weights = Mapping[str, np.ndarray]
"""Weights by name, float32, with the shapes that the operations state."""

_LEAST_FACTOR = 1e-12


def fold_norms(operations: Sequence[Operation], weights: Weights) -> tuple[tuple[Operation, ...], Weights]:
    """The same network with as few normalizations as possible.

    Returns:
        Its operations and their weights. A normalization that was folded is gone, and the kernel before it has a bias.
    """
    by_name = {operation.name: operation for operation in operations}
    kernels = find_foldable(operations, weights)
    norms = {kernel: by_name[norm] for norm, kernel in kernels.items()}
    aliases = {norm: by_name[norm].inputs[0] for norm in kernels}
    folded_operations: list[Operation] = []
    folded_weights: dict[str, np.ndarray] = {}
    for operation in operations:
        if operation.name in aliases:
            continue
        kept = replace(operation, inputs=tuple(aliases.get(name, name) for name in operation.inputs))
        own_weights = {name: weights[name] for name in operation.weights}
        if operation.name in norms:
            kept, own_weights = _fold(kept, norms[operation.name], weights)
        folded_operations.append(kept)
        folded_weights |= own_weights
    return tuple(folded_operations), folded_weights


def unfold_kernels(operations: Sequence[Operation], weights: Weights) -> dict[str, np.ndarray]:
    """The weights before `fold_norms`; kernels only up to the rounding of their last bit.

    Args:
        operations: The network before `fold_norms`.
        weights: The kernels after `fold_norms`, and all other weights as they were before it.
    """
    by_name = {operation.name: operation for operation in operations}
    unfolded = {name: weights[name] for operation in operations for name in operation.weights}
    for norm, kernel in find_foldable(operations, weights).items():
        name = f"{kernel}.weight"
        unfolded[name] = _float32(weights[name] / norm_factor(by_name[norm], weights))
    return unfolded


def find_foldable(operations: Sequence[Operation], weights: Weights) -> dict[str, str]:
    """For each normalization that can be folded, its name and the name of the operation that it is folded into.

    Args:
        operations: The network.
        weights: At least those of its normalizations.
    """
    by_name = {operation.name: operation for operation in operations}
    num_uses = Counter(name for operation in operations for name in operation.inputs)
    foldable = {}
    for norm in operations:
        if norm.kind != "norm":
            continue
        factor = norm_factor(norm, weights)
        passed = {"average_pool", "dropout"} | ({"max_pool"} if factor.min() > 0 else set())
        source = by_name.get(norm.inputs[0])
        while source and source.kind in passed and num_uses[source.name] == 1:
            source = by_name.get(source.inputs[0])
        is_kernel = source and source.kind in ("conv", "dense") and num_uses[source.name] == 1
        if source and is_kernel and np.abs(factor).min() > _LEAST_FACTOR:
            foldable[norm.name] = source.name
    return foldable


def norm_factor(norm: Operation, weights: Weights) -> np.ndarray:
    """What a normalization multiplies each channel by when predicting: float64 (channels,)."""
    gamma, variance = (weights[f"{norm.name}.{name}"].astype(np.float64) for name in ("gamma", "variance"))
    return np.asarray(gamma / np.sqrt(variance + norm.settings["epsilon"]))


def _fold(kernel: Operation, norm: Operation, weights: Weights) -> tuple[Operation, dict[str, np.ndarray]]:
    weight_name, bias_name = f"{kernel.name}.weight", f"{kernel.name}.bias"
    factor = norm_factor(norm, weights)  # (channels,)
    bias = weights[bias_name] if kernel.settings["bias"] else np.zeros_like(factor)
    shift = (bias - weights[f"{norm.name}.mean"].astype(np.float64)) * factor + weights[f"{norm.name}.beta"]
    shapes = {weight_name: kernel.weights[weight_name], bias_name: factor.shape}
    folded = replace(kernel, weights=shapes, settings={**kernel.settings, "bias": True})
    # The channels are the last axis of a kernel, be it (height, width, in, out) or (in, out).
    return folded, {weight_name: _float32(weights[weight_name] * factor), bias_name: _float32(shift)}


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
