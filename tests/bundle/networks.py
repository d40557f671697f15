"""Tiny networks with random weights, of every kind of layer, as bundles: nothing is trained for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.card import Provenance
from dogvscat.bundle.publish import publish_bundle
from dogvscat.config import NetworkConfig
from dogvscat.judging.decision import Decision
from dogvscat.learning.onnx_export.writer import write_onnx
from dogvscat.network.operations import Operation
from dogvscat.settings.resolve import build_config
from tests.helpers import residual_layers

SIZE = 48
NETWORKS: dict[str, dict[str, Any]] = {
    "as best": {
        "layers": ["soft colors", *residual_layers(4, 8, 16)],
        "flip_averaging": True,
        "neither_output": True,
    },
    "features": {"layers": ["norm, conv 4 5x5 stride 3 valid, elu, flatten, dense 8, norm, silu, dropout 0.2"]},
    "everything else": {
        "layers": [
            "conv 8 4x4 stride 3, leaky relu, squeeze-excite, blur pool",
            "max pool 3x3 stride 2, residual 5x5 silu squeeze-excite, conv 12 valid, norm, global mean",
        ],
        "neither_output": True,
    },
}


def random_weights(operations: tuple[Operation, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights whose numbers neither vanish nor explode; no normalization can be folded where a factor is negative."""
    rng = np.random.default_rng(seed)
    weights = {}
    for operation in operations:
        for name, shape in operation.weights.items():
            if name.endswith(".weight"):
                values = rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:-1])), shape)
            else:
                values = rng.uniform(0.5, 1.5, shape) * (rng.choice([-1.0, 1.0], shape) if ".gamma" in name else 1.0)
            weights[name] = values.astype(np.float32)
    return weights


def publish_random(folder: Path, settings: Mapping[str, Any], provenance: Provenance) -> Path:
    """A bundle of a network with random weights; returns its folder."""
    config = build_config({"data": {"image_size": SIZE}, "network": dict(settings)})
    operations = config.network.operations(SIZE)
    weights, decision = random_weights(operations), Decision(1.7, 0.6, 0.45, 0.55, neither_limit=0.9)
    graph = write_onnx(operations, weights, decision, flip_averaging=config.network.flip_averaging)
    publish_bundle(folder, graph, weights, ("cat", "dog"), config, decision, provenance, {})
    return folder


def operations_of(name: str) -> tuple[Operation, ...]:
    """The operations of one of `NETWORKS`."""
    return NetworkConfig(**NETWORKS[name]).operations(SIZE)
