"""Receptive fields counted by hand. tests/bundle/test_graph_outputs.py compares them with what a graph computes."""

import pytest

from dogvscat.network.expansion import expand
from dogvscat.network.receptive_fields import ReceptiveField, receptive_fields
from dogvscat.network.text import parse_network
from dogvscat.settings.resolve import recipe_names, resolve_config


def test_squares_counted_by_hand() -> None:
    fields = receptive_fields(expand(parse_network(["conv 4 5x5 stride 2, max pool, relu, residual, global mean"]), 32))
    # 16 positions need 3 pixels of padding: 1 before and 2 after.
    assert fields["conv1"] == ReceptiveField(-1, 2, 5)
    assert fields["pool1"] == fields["relu1"] == ReceptiveField(-1, 4, 7)
    # Positions are 4 pixels apart: a 3 x 3 convolution sees 4 more pixels on each side.
    assert fields["block1.conv1"] == ReceptiveField(-5, 4, 15)
    assert fields["block1.conv2"] == fields["block1.add"] == ReceptiveField(-9, 4, 23)
    assert fields["mean"] is None
    assert fields["logit"] is None


def test_whatever_has_an_input_from_everywhere_sees_everything() -> None:
    fields = receptive_fields(expand(parse_network(["conv 8 valid, squeeze-excite, relu, flatten"]), 16))
    assert fields["conv1"] == ReceptiveField(0, 1, 3)
    assert all(fields[name] is None for name in ("squeeze1.mean", "squeeze1.multiply", "relu1", "flatten"))


@pytest.mark.parametrize("recipe", recipe_names())
def test_sides_are_those_of_the_description(recipe: str) -> None:
    config = resolve_config(recipe, None, [])
    operations = config.network.operations(config.data.image_size)
    fields = receptive_fields(operations)
    for operation in operations:
        field = fields[operation.name]
        side = config.data.image_size if field is None else min(config.data.image_size, field.side)
        assert side == operation.receptive_field, operation.name
