"""Normalizations that disappear in a kernel, and come out again."""

import numpy as np
import pytest

from dogvscat.network.expansion import expand
from dogvscat.network.folding import find_foldable, fold_norms, unfold_kernels
from dogvscat.network.operations import Operation
from dogvscat.network.text import parse_network


def random_weights(operations: tuple[Operation, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Every weight different, all factors positive and far from 0."""
    rng = np.random.default_rng(seed)
    shapes = {name: shape for operation in operations for name, shape in operation.weights.items()}
    return {
        name: (rng.uniform(0.5, 1.5, shape) if len(shape) == 1 else rng.normal(size=shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def network(*layers: str) -> tuple[tuple[Operation, ...], dict[str, np.ndarray]]:
    operations = expand(parse_network((*layers, "global mean")), 32)
    return operations, random_weights(operations)


@pytest.mark.parametrize(
    ("layers", "foldable"),
    [
        ("conv 4, norm, relu", {"norm1": "conv1"}),
        ("conv 4, max pool, norm", {"norm1": "conv1"}),
        ("conv 4, blur pool, average pool, dropout 0.5, norm", {"norm1": "conv1"}),
        ("conv 4, relu, norm", {}),  # relu is not linear
        ("norm, conv 4", {}),  # nothing comes before it
        ("conv 4, norm, norm", {"norm1": "conv1"}),
        ("conv 4, norm, residual", {"norm1": "conv1", "block1.norm1": "block1.conv1", "block1.norm2": "block1.conv2"}),
    ],
)
def test_what_can_be_folded(layers: str, foldable: dict[str, str]) -> None:
    assert find_foldable(*network(layers)) == foldable


def test_a_value_that_is_used_twice_stays_as_it_is() -> None:
    operations, weights = network("conv 4, residual")
    # As if the block's sum took the convolution before its normalization.
    crossed = [
        Operation(**{**vars(op), "inputs": ("conv1", "block1.conv2")}) if op.name == "block1.add" else op
        for op in operations
    ]
    assert find_foldable(crossed, weights) == {"block1.norm1": "block1.conv1"}


@pytest.mark.parametrize(
    ("layers", "gamma", "is_folded"),
    [
        ("conv 4, norm", -1.0, True),
        ("conv 4, average pool, norm", -1.0, True),
        ("conv 4, max pool, norm", -1.0, False),  # max(-x) is not -max(x)
        ("conv 4, norm", 0.0, False),  # nothing of the kernel would be left
    ],
)
def test_negative_factors_and_those_of_zero(layers: str, gamma: float, is_folded: bool) -> None:
    operations, weights = network(layers)
    weights["norm1.gamma"][1] = gamma
    assert bool(find_foldable(operations, weights)) == is_folded


def test_a_folded_kernel_does_what_the_two_operations_did() -> None:
    operations, weights = network("conv 4, norm")
    folded, folded_weights = fold_norms(operations, weights)
    assert [operation.name for operation in folded] == ["scaling", "conv1", "mean", "logit"]
    assert [list(operation.weights) for operation in folded][1] == ["conv1.weight", "conv1.bias"]
    pixels = np.random.default_rng(1).uniform(size=27)
    response = np.tensordot(pixels, weights["conv1.weight"].reshape(27, 4), 1)
    gamma, beta, mean, variance = (weights[f"norm1.{name}"] for name in ("gamma", "beta", "mean", "variance"))
    expected = gamma * (response - mean) / np.sqrt(variance + 1e-3) + beta
    received = np.tensordot(pixels, folded_weights["conv1.weight"].reshape(27, 4), 1) + folded_weights["conv1.bias"]
    np.testing.assert_allclose(received, expected, rtol=1e-5)


def test_kernels_come_out_again_and_fold_to_the_same() -> None:
    operations, weights = network("conv 4, max pool, norm, relu, residual", "conv 3")
    _, folded_weights = fold_norms(operations, weights)
    kernels = {name: values for name, values in folded_weights.items() if name.endswith(".weight")}
    unfolded = unfold_kernels(operations, {**weights, **kernels})
    assert list(unfolded) == list(weights)
    for name, values in weights.items():
        np.testing.assert_allclose(unfolded[name], values, rtol=3e-7, err_msg=name)
    _, folded_again = fold_norms(operations, unfolded)
    for name, values in folded_weights.items():
        np.testing.assert_allclose(folded_again[name], values, rtol=3e-7, err_msg=name)
