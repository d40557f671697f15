"""One engine for every network in this process: a backend that has computed keeps its number of threads.

It is opened before the test modules of this folder are imported, which import Keras: TensorFlow reads its environment
when it is imported.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from dogvscat.bundle.card import Provenance
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import publish_bundle
from dogvscat.config import NetworkConfig
from dogvscat.judging.decision import Decision
from dogvscat.learning.engine import open_engine
from dogvscat.settings.resolve import build_config
from tests.helpers import PublishNetwork

if "tensorflow" in sys.modules:  # it may compute differently from the commands by now, in the last bits
    raise ImportError("a test module outside tests/learning imported Keras: move it here, or import inside its tests")
open_engine(1)


@pytest.fixture
def publish_network(tmp_path: Path, no_provenance: Provenance) -> PublishNetwork:
    """Publishes a network as a bundle and loads it."""
    from dogvscat.learning.model.networks import average_over_flips, named_weights
    from dogvscat.learning.onnx_export.export import export_onnx

    def publish(config: NetworkConfig, network: Any) -> Predictor:
        published = average_over_flips(network) if config.flip_averaging else network
        settings = build_config({"data": {"image_size": 32}, "network": config.model_dump()})
        weights = named_weights(network, config.operations(32))
        graph = export_onnx(published, config, Decision())
        publish_bundle(tmp_path / "bundle", graph, weights, ("cat", "dog"), settings, Decision(), no_provenance, {})
        return Predictor.load(tmp_path / "bundle")

    return publish
