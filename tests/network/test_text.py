"""Networks as text: what it means, that it survives a round trip, and what is said about mistakes."""

import numpy as np
import pytest

from dogvscat.network.layers import Convolution, MaxPool, NetworkError, Residual
from dogvscat.network.text import format_network, named_layers, parse_network
from dogvscat.network.words import KINDS, USAGES, parse_layer

LAYERS = (
    "conv 8",
    "conv 8 5x5 stride 2",
    "conv 8 7x7 valid",
    "norm",
    "relu",
    "leaky relu",
    "elu",
    "silu",
    "max pool",
    "max pool 3x3 stride 2",
    "average pool 4x4",
    "blur pool",
    "residual",
    "residual 5x5 leaky relu squeeze-excite",
    "squeeze-excite",
    "squeeze-excite 4",
    "dropout 0.25",
    "flatten",
    "global mean",
    "dense 16",
    "soft colors",
)


def test_every_layer_is_written_as_it_was_read() -> None:
    assert {parse_layer(text).kind for text in LAYERS} == set(KINDS)
    for text in LAYERS:
        assert parse_layer(text).text == text


def test_what_is_left_out_has_the_usual_value() -> None:
    assert parse_layer("conv 8") == parse_layer(" conv  8  stride 1 same 3x3 ") == Convolution(8, 3, 1, "same")
    assert parse_layer("max pool 3x3") == MaxPool(3, 3)
    assert parse_layer("residual") == Residual(3, "relu", squeezes=False)
    for usage in USAGES:  # what stands in brackets is the usual value, unless it is a choice
        optional = usage.replace(" [valid]", "").replace(" [squeeze-excite]", "").replace("[", "").replace("]", "")
        counts = {"FILTERS": "8", "UNITS": "8", "SHARE": "0.5"}
        words = [counts.get(word, word) for word in optional.split()]
        shortest = [counts.get(word, word) for word in usage.partition(" [")[0].split()]
        assert parse_layer(" ".join(words)) == parse_layer(" ".join(shortest))


def test_networks_survive_a_round_trip() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        entries = []
        for number in range(rng.integers(1, 6)):
            items = [f"{rng.integers(1, 4)} x {LAYERS[k]}" for k in rng.integers(len(LAYERS), size=rng.integers(1, 5))]
            items.append(f"2 x ({', '.join(LAYERS[k] for k in rng.integers(len(LAYERS), size=3))})")
            entries.append(f"part{number}: {', '.join(items)}" if rng.random() < 0.5 else ", ".join(items))
        stages = parse_network(entries)
        assert parse_network(format_network(stages)) == stages
        assert format_network(parse_network(format_network(stages))) == format_network(stages)


def test_repetitions_are_written_out() -> None:
    assert parse_network(["a: 2 x (conv 8, relu), 3 x norm"]) == parse_network(
        ["a: conv 8, relu, conv 8, relu, norm, norm, norm"]
    )


def test_layers_are_counted_within_their_stage() -> None:
    stages = parse_network(["conv 8, relu", "a: conv 8, max pool, 2 x residual", "conv 8, blur pool, global mean"])
    names = [layer.name for layer in named_layers(stages)]
    assert names == ["conv1", "relu1", "a.conv1", "a.pool1", "a.block1", "a.block2", "conv2", "blur1", "mean"]
    assert [layer.number for layer in named_layers(stages)] == list(range(1, 10))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("relu, konv 8", "entry 2 of network.layers: \"konv 8\": there is no such layer. Did you mean 'conv'?"),
        ("bigger", '"bigger": there is no such layer. Layers: conv, norm, '),
        ("conv", '"conv": expected a number of filters from 1 to 1024, received nothing'),
        ("conv many", "expected a number of filters from 1 to 1024, received 'many'"),
        ("conv 0", "received '0'"),
        ("conv 2000", "received '2000'"),
        ("conv 8 3x4", "expected a square such as 3x3, received '3x4'"),
        ("conv 8 13x13", "expected a side from 1 to 11, received '13'"),
        ("conv 8 stride", "expected a stride from 1 to 4, received nothing"),
        ("conv 8 fast", "expected conv FILTERS [3x3] [stride 1] [valid], and not the word 'fast'"),
        ("relu 3", "\"relu 3\": expected relu, and not the word '3'"),
        ("dropout", "expected a share above 0 and below 1, received nothing"),
        ("dropout 1", "received '1'"),
        ("dropout nan", "received 'nan'"),
        ("conv 8,, relu", "expected a layer between the commas"),
        ("", "expected a layer such as conv 8, received nothing"),
        ("stage1: ", "expected a layer such as conv 8, received nothing"),
        ("0 x relu", "expected 1 to 200 repetitions, received 0"),
        ("1000 x relu", "expected 1 to 200 repetitions, received 1000"),
        ("201 x relu", "expected 1 to 200 repetitions, received 201"),
        ("2 x (relu, 2 x (norm, elu))", "parentheses can only surround layers"),
        ("2 x (relu", "parentheses can only surround layers"),
        ("Stage 1: relu", "expected a name before the colon: a small letter, and at most 30 more small letters"),
        (f"{32 * 'a'}: relu", "at most 30 more"),
        ("logit: relu", "'logit' is a name that every network uses; give the stage another one, such as stage1"),
        ("logits: relu", "'logits' is a name that every network uses"),
        ("199 x relu, 2 x norm", "more than 200 layers"),
        ("200 x relu", "the network would have 201 layers, and at most 200 are possible"),
    ],
)
def test_mistakes_are_named(entry: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_network(["relu", entry])
    assert message in str(caught.value)


def test_stages_have_names_of_their_own() -> None:
    with pytest.raises(NetworkError, match="2 stages with the name 'a'"):
        parse_network(["a: relu", "a: norm"])
