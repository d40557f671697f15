"""Shapes, weights and costs counted by hand, and layers that do not fit. tests/learning compares them with Keras."""

import pytest

from dogvscat.network.expansion import expand
from dogvscat.network.layers import NetworkError
from dogvscat.network.operations import Operation, class_activation_source, takes_any_size
from dogvscat.network.picture import draw_network
from dogvscat.network.table import layer_rows, table_lines
from dogvscat.network.text import parse_network
from dogvscat.settings.resolve import recipe_names, resolve_config


def operations_of(*entries: str, image_size: int = 32) -> dict[str, Operation]:
    return {operation.name: operation for operation in expand(parse_network(entries), image_size)}


def test_costs_and_shapes_counted_by_hand() -> None:
    operations = operations_of("conv 4 5x5 stride 2, max pool, relu", "conv 6 valid, flatten, dense 10")
    assert [operation.output_shape for operation in operations.values()] == [
        (32, 32, 3),
        (16, 16, 4),
        (8, 8, 4),
        (8, 8, 4),
        (6, 6, 6),
        (216,),
        (10,),
        (1,),
    ]
    assert [operation.macs for operation in operations.values() if operation.macs] == [
        16 * 16 * 25 * 3 * 4,
        6 * 6 * 9 * 4 * 6,
        216 * 10,
        10,
    ]
    assert operations["conv1"].settings["pads"] == (1, 2)  # (16 - 1) * 2 + 5 - 32 = 3, the larger half after
    assert operations["conv1"].num_weights == 25 * 3 * 4 + 4
    # 5 pixels; pooled, 2 more; 3 x 3 positions that lie 4 pixels apart, 8 more
    assert [operations[name].receptive_field for name in ("conv1", "pool1", "conv2", "dense1")] == [5, 7, 15, 32]


def test_a_convolution_has_a_bias_unless_a_normalization_follows() -> None:
    operations = operations_of(
        "conv 4, max pool, norm, conv 4, relu, norm, conv 4, dropout 0.5, global mean, dense 4, norm"
    )
    biases = {
        name: operation.settings["bias"] for name, operation in operations.items() if "bias" in operation.settings
    }
    assert biases == {"conv1": False, "conv2": True, "conv3": True, "dense1": False, "logit": True}


def test_every_recipe_has_unique_names_and_inputs_that_come_before() -> None:
    for recipe in recipe_names():
        config = resolve_config(recipe)
        known = {"pixels"}
        for operation in config.network.operations(config.data.image_size):
            assert operation.name not in known
            assert set(operation.inputs) <= known
            assert all(name.startswith(f"{operation.name}.") for name in operation.weights)
            known.add(operation.name)


def test_kernels_are_numbered_in_order() -> None:
    kernels = [op for op in operations_of("conv 4, residual squeeze-excite, global mean").values() if op.macs]
    assert [operation.kernels_before for operation in kernels] == list(range(len(kernels)))


def test_the_class_activation_needs_a_mean_right_before_the_logit() -> None:
    sources = {
        "conv 4, relu, global mean": "relu1",
        "conv 4, relu, global mean, dropout 0.5": "relu1",
        "conv 4, squeeze-excite, global mean": "squeeze1.multiply",
        "conv 4, global mean, dense 3": None,
        "conv 4, flatten": None,
    }
    for entry, source in sources.items():
        assert class_activation_source(expand(parse_network([entry]), 32)) == source


def test_a_name_that_a_block_already_has_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"^two operations have the name 'block1.conv1'; rename the stage"):
        operations_of("block1: conv 8", "residual, global mean")


def test_only_flatten_fixes_the_size() -> None:
    assert takes_any_size(parse_network(["conv 4, global mean, dense 3"]))
    assert not takes_any_size(parse_network(["conv 4, flatten, dense 3"]))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("6 x max pool, flatten", 'after layer 5 (pool5) the picture is 1 x 1: layer 6 "max pool" (pool6) needs 2 x 2'),
        ("2 x max pool, conv 4 9x9 valid, flatten", "the picture is 8 x 8: layer 3 .* needs 9 x 9; use larger images"),
        (
            "conv 4, dense 4",
            'after layer 1 (conv1) there is a picture of 32 x 32 x 4: layer 2 "dense 4" (dense1) needs',
        ),
        ("conv 4", "the logit needs a list of features; end the layers with"),
        ("flatten, conv 4", 'there are 3,072 features and no picture: layer 2 "conv 4" (conv1) needs a picture'),
        ("5 x blur pool, max pool, flatten", "after layer 5 (blur5) the picture is 1 x 1"),
        ("flatten, max pool", "needs a picture"),
        ("flatten, blur pool", "needs a picture"),
        ("flatten, residual", "needs a picture"),
        ("flatten, squeeze-excite", "needs a picture"),
        ("flatten, global mean", "needs a picture"),
        ("flatten, flatten", "needs a picture"),
        ("conv 3, soft colors, flatten", "must be the first layer"),
        ("conv 1024 11x11, conv 1024 11x11, conv 1024 11x11, global mean", "more than 200,000,000 weights"),
    ],
)
def test_layers_that_do_not_fit_are_named(entry: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        operations_of(entry)
    start, _, end = message.partition(" .* ")
    assert start in str(caught.value)
    assert end in str(caught.value)


def test_the_table_accounts_for_everything() -> None:
    for recipe in recipe_names():
        config = resolve_config(recipe)
        stages, operations = config.network.stages, config.network.operations(config.data.image_size)
        rows = layer_rows(stages, operations)
        assert len(rows) == 2 + sum(len(stage.layers) for stage in stages)
        assert sum(row.macs for row in rows) == sum(operation.macs for operation in operations)
        assert sum(row.num_weights for row in rows) == sum(operation.num_weights for operation in operations)
        assert sum(row.share for row in rows) == pytest.approx(1.0)
        lines = table_lines(rows, "work")
        assert len(lines) == len(rows) + 2
        measured = layer_rows(stages, operations, {"scaling": 3.0, rows[-1].name: 1.0})
        assert (measured[0].share, measured[-1].share) == (0.75, 0.25)


def test_the_picture_shows_every_layer_in_both_formats() -> None:
    import xml.etree.ElementTree as ElementTree
    from io import BytesIO

    from PIL import Image

    changes = '["residual squeeze-excite instead of residual", "squeeze-excite before mean"]'
    config = resolve_config("best", None, [f"network.changes={changes}"])
    drawing = draw_network(config.network.stages, config.network.operations(64), "<mine>")
    root = ElementTree.fromstring(drawing.svg())
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "The network of <mine>, for images of 64 x 64 pixels"
    for word in ("stem", "stage3", "2 x residual squeeze-excite", "4 x 4 x 192", "conv 32 stride 2", "dropout 0.2"):
        assert word in words
    for word in ("squeeze-excite", "squeeze-excite: weights the channels"):
        assert word in words
    with Image.open(BytesIO(drawing.png())) as image:
        assert image.size == (round(drawing.width * 2), round(drawing.height * 2))
        assert len(image.getcolors(10_000) or []) > 20
    assert drawing.png() == drawing.png()
