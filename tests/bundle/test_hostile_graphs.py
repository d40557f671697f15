"""Graphs that an attacker or a mistake put into a bundle whose card vouches for them: refused, and no file is read."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dogvscat.bundle.graph import open_graph
from dogvscat.bundle.predictor import Predictor
from dogvscat.errors import ModelError

ChangeCard = Callable[[Callable[[dict[str, Any]], Any]], None]
Node = onnx.NodeProto


def graph_of(
    *nodes: Node, weights: onnx.TensorProto | None = None, pixels: str = "pixels", kind: int = TensorProto.UINT8
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info(pixels, kind, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, None)],
        [weights] if weights else [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Node:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


NUMBERS = node("Cast", "pixels", "numbers", to=TensorProto.FLOAT)
MEAN = node("ReduceMean", "numbers", "mean", axes=[1, 2], keepdims=0)  # (N, 3)
NOTHING = node("Sub", "numbers numbers", "nothing")

HOSTILE = {
    "garbage": (b"\x00\x01garbage" * 50, "cannot be run"),
    "empty": (b"", "cannot be run"),
    "cut short": (graph_of(NUMBERS, node("Identity", "numbers", "logit"))[:90], "cannot be run"),
    "another input": (
        graph_of(node("Cast", "image", "logit", to=TensorProto.FLOAT), pixels="image"),
        "should take `pixels` as uint8 and give `logit`, it takes {'image': 'tensor\\(uint8\\)'}",
    ),
    "another type": (
        graph_of(node("Identity", "pixels", "logit"), kind=TensorProto.FLOAT),
        r"it takes {'pixels': 'tensor\(float\)'}",
    ),
    "a number for each pixel": (
        graph_of(node("Cast", "pixels", "logit", to=TensorProto.FLOAT)),
        r"finite logits of shape \(1, 1\), it gives \(1, 32, 32, 3\)",
    ),
    "three logits": (
        graph_of(NUMBERS, node("ReduceMean", "numbers", "logit", axes=[1, 2], keepdims=0)),
        r"finite logits of shape \(1, 1\), it gives \(1, 3\)",
    ),
    "no number": (
        graph_of(
            NUMBERS,
            NOTHING,
            node("ReduceSum", "nothing", "zero", keepdims=1),
            node("Div", "zero zero", "undefined"),
            node("Flatten", "undefined", "logit"),
        ),
        r"should give finite logits",
    ),
    "text": (graph_of(node("Cast", "pixels", "logit", to=TensorProto.STRING)), "graph .*cannot be run"),
    "an operator of its own": (graph_of(node("RunShell", "pixels", "logit", domain="evil")), "cannot be run"),
}


@pytest.fixture
def smuggle(bundle: Path, change_card: ChangeCard) -> Callable[[bytes], Path]:
    """Puts another graph into a bundle and vouches for it in the card."""

    def put(graph: bytes) -> Path:
        (bundle / "model.onnx").write_bytes(graph)
        change_card(lambda card: card["files"].update({"model.onnx": hashlib.sha256(graph).hexdigest()}))
        return bundle

    return put


@pytest.mark.parametrize(("graph", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_graph_that_is_not_one_of_ours_is_refused(
    smuggle: Callable[[bytes], Path], graph: bytes, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Predictor.load(smuggle(graph))


def test_a_graph_for_another_size_is_refused(bundle: Path, change_card: ChangeCard) -> None:
    change_card(lambda card: card.update(image_size=64))
    with pytest.raises(ModelError, match=r"cannot be run on pictures of shape \(64, 64, 3\)"):
        Predictor.load(bundle)


def reading(location: str) -> bytes:
    """A graph whose logit is computed from numbers in a file."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[3072, 1])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(4 * 3072)}.items():
        weights.external_data.add(key=key, value=value)
    return graph_of(
        NUMBERS, node("Flatten", "numbers", "flat"), node("MatMul", "flat weights", "logit"), weights=weights
    )


@pytest.mark.parametrize("location", ["beside.bin", "below/deep.bin", "../outside.bin", "{absolute}"])
def test_a_graph_cannot_read_files(
    smuggle: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """Neither outside of the bundle nor beside it, nor in the folder one stands in: no card vouches for such a file."""
    secret = np.linspace(0, 1, 3072, dtype=np.float32).tobytes()
    for folder in (tmp_path / "bundle", tmp_path / "here", tmp_path):
        (folder / "below").mkdir(parents=True, exist_ok=True)
        for name in ("beside.bin", "below/deep.bin", "outside.bin"):
            (folder / name).write_bytes(secret)
    monkeypatch.chdir(tmp_path / "here")
    graph = reading(location.format(absolute=tmp_path / "outside.bin"))
    with pytest.raises(ModelError, match="cannot be run"):
        Predictor.load(smuggle(graph))
    monkeypatch.chdir(tmp_path / "bundle")
    with pytest.raises(ModelError, match="the graph in here cannot be run"):
        open_graph(graph, "here")
