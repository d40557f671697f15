"""A network as its page needs it: layers, operations, receptive fields and where in the graph their numbers are."""

from collections.abc import Mapping, Sequence
from typing import Any

from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.predict.heat_map import HEAT_COLORS, HEAT_OPACITY, occlusion_edges
from dogvscat.bundle.visualization.graph_outputs import find_values, find_weights
from dogvscat.network.operations import Operation
from dogvscat.network.receptive_fields import ReceptiveField, receptive_fields
from dogvscat.network.table import LayerRow, layer_rows


def describe_network(bundle: Bundle) -> dict[str, Any]:
    """JSON values, with names as the page's scripts use them.

    Raises:
        ModelError: if the graph does not have the names of the network.
    """
    card = bundle.card
    network = card.config.network
    operations = network.operations(card.image_size)
    values, weights, fields = (
        find_values(bundle, operations),
        find_weights(bundle, operations),
        receptive_fields(operations),
    )
    rows = layer_rows(network.stages, operations)
    return {
        "image_size": card.image_size,
        "flip_averaging": network.flip_averaging,
        "layers": [_layer(row, number, operations) for number, row in enumerate(rows)],
        "operations": {
            operation.name: _operation(operation, values, weights, fields[operation.name]) for operation in operations
        },
        "heat_map": {
            "colors": HEAT_COLORS.astype(int).tolist(),
            "opacity": HEAT_OPACITY,
            "edges": occlusion_edges(card.image_size).tolist(),
        },
    }


def new_outputs(network: Mapping[str, Any]) -> list[str]:
    """The values and constants that the graph must give in addition to its own outputs.

    Args:
        network: From `describe_network`.
    """
    operations = network["operations"].values()
    names = [name for operation in operations for name in (operation["value"], *operation["weights"])]
    return [name for name in dict.fromkeys(names) if name != "logit"]  # an output already, if it has this name


def _layer(row: LayerRow, number: int, operations: Sequence[Operation]) -> dict[str, Any]:
    return {
        "name": row.name,
        "text": row.text,
        "output_shape": list(row.output_shape),
        "num_weights": row.num_weights,
        "receptive_field": row.receptive_field,
        "operations": [operation.name for operation in operations if operation.layer == number],
    }


def _operation(
    operation: Operation, values: Mapping[str, str], weights: Mapping[str, list[str]], field: ReceptiveField | None
) -> dict[str, Any]:
    value = values[operation.name]
    return {
        "kind": operation.kind,
        "inputs": list(operation.inputs),
        "settings": dict(operation.settings),
        "output_shape": list(operation.output_shape),
        "value": value,
        # Dropout, or a normalization inside of the kernel before it: its numbers are those of its input.
        "is_identity": value == values.get(operation.inputs[0]),
        "weights": weights.get(operation.name, []),
        "field": field and [field.start, field.step, field.side],
    }
