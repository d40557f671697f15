"""What each sentence changes, and that every change gives a network that can be read again."""

import pytest

from dogvscat.network.changes import apply_changes, with_width
from dogvscat.network.layers import NetworkError
from dogvscat.network.text import format_network, parse_network

NETWORK = (
    "stem: conv 48 stride 2, max pool, relu",
    "stage1: conv 16 5x5, norm, relu, 2 x residual",
    "flatten, dense 30, relu, dropout 0.5",
)


@pytest.mark.parametrize(
    ("change", "entry", "expected"),
    [
        ("without stage1", 1, "flatten, dense 30, relu, dropout 0.5"),
        ("without the stage1", 1, "flatten, dense 30, relu, dropout 0.5"),
        ("without stage1.block2", 1, "stage1: conv 16 5x5, norm, relu, residual"),
        ("without residual", 1, "stage1: conv 16 5x5, norm, relu"),
        ("without each residual", 1, "stage1: conv 16 5x5, norm, relu"),
        ("without relu1", 2, "flatten, dense 30, dropout 0.5"),
        ("norm after each conv", 0, "stem: conv 48 stride 2, norm, max pool, relu"),
        ("norm, silu after stem.conv1", 0, "stem: conv 48 stride 2, norm, silu, max pool, relu"),
        ("blur pool after stem", 0, "stem: conv 48 stride 2, max pool, relu, blur pool"),
        ("norm before stem", 0, "stem: norm, conv 48 stride 2, max pool, relu"),
        ("dropout 0.1 before flatten", 2, "dropout 0.1, flatten, dense 30, relu, dropout 0.5"),
        ("soft colors first", 0, "soft colors"),
        ("norm last", -1, "norm"),
        ("average pool instead of max pool", 0, "stem: conv 48 stride 2, average pool, relu"),
        ("conv 64, norm instead of conv 48 stride 2", 0, "stem: conv 64, norm, max pool, relu"),
        ("conv 8 instead of stem", 0, "stem: conv 8"),
        ("silu instead of relu", 1, "stage1: conv 16 5x5, norm, silu, 2 x residual silu"),
        ("silu instead of stage1.relu1", 1, "stage1: conv 16 5x5, norm, silu, 2 x residual"),
        ("global mean instead of flatten", 2, "global mean, dense 30, relu, dropout 0.5"),
        ("3x3 instead of 5x5", 1, "stage1: conv 16, norm, relu, 2 x residual"),
        ("5x5 instead of 3x3", 1, "stage1: conv 16 5x5, norm, relu, 2 x residual 5x5"),
        ("dropout 0.25", 2, "flatten, dense 30, relu, dropout 0.25"),
        ("dropout 0", 2, "flatten, dense 30, relu"),
        ("width 0.5", 1, "stage1: conv 8 5x5, norm, relu, 2 x residual"),
    ],
)
def test_a_change_changes_what_it_says(change: str, entry: int, expected: str) -> None:
    changed = apply_changes(parse_network(NETWORK), [change])
    assert format_network(changed)[entry] == expected
    assert parse_network(format_network(changed)) == changed


def test_changes_add_up_in_their_order() -> None:
    changes = ("without stem", "dense 8 instead of dense", "without dropout", "dropout 0.1")
    expected = ("stage1: conv 16 5x5, norm, relu, 2 x residual", "flatten, dense 8, relu", "dropout 0.1")
    assert format_network(apply_changes(parse_network(NETWORK), changes)) == expected


def test_a_function_is_changed_that_is_only_inside_of_residual_blocks() -> None:
    stages = parse_network(["conv 8, norm, residual elu, global mean"])
    assert format_network(apply_changes(stages, ["silu instead of elu"])) == (
        "conv 8, norm, residual silu, global mean",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["norm after each norm"] * 50, 'the change "norm after each norm" of the network: the network would have'),
        (["100 x relu after each relu"], "layers, and at most 200 are possible"),
        (["relu first"] * 48, "the network would have 51 entries of layers, and at most 50 are possible"),
    ],
)
def test_changes_cannot_add_more_than_can_be_read_again(changes: list[str], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        apply_changes(parse_network(NETWORK), changes)
    assert message in str(caught.value)


def test_widths_are_multiples_of_eight_where_they_are_large() -> None:
    stages = parse_network(["conv 48, conv 7, flatten, dense 100"])
    assert format_network(with_width(stages, 0.7)) == ("conv 32, conv 5, flatten, dense 72",)
    assert format_network(with_width(stages, 0.01)) == ("2 x conv 1, flatten, dense 1",)
    assert format_network(with_width(stages, 15.0)) == ("conv 720, conv 104, flatten, dense 1504",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "without stage2",
            "the change \"without stage2\" of the network: the network has no 'stage2'; it has stem, stage1",
        ),
        ("without norm1", "no 'norm1'"),
        ("silu instead of elu", "no 'elu'"),
        ("nrom after each conv", "Did you mean 'norm'?"),
        ("7x7 instead of 1x1", "no layer of the network has kernels of 1x1"),
        ("13x13 instead of 3x3", "expected a side from 1 to 11"),
        ("more layers", "expected a change such as: without stage3, norm after each conv"),
        ("dropout 1", "expected a number of at least 0 and below 1, received '1'"),
        ("width 0", "expected a number of at least 0.01 and below 16, received '0'"),
        ("", "expected a change such as"),
    ],
)
def test_a_change_that_cannot_be_made_is_named(change: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        apply_changes(parse_network(NETWORK), [change])
    assert message in str(caught.value)
