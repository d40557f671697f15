"""Graphs that an attacker or a mistake put into a bundle whose card vouches for them: refused, and no file is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dogvscat.bundle.graph import open_graph, run_class_activation, run_graph
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import ModelError
from tests.helpers import ChangeCard, seal

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


def telling(*nodes: Node) -> bytes:
    """A graph with a sound logit and whatever the nodes compute as `activation`."""
    sound = (NUMBERS, node("ReduceMean", "numbers", "logit", axes=[1, 2, 3], keepdims=0))
    model = onnx.load_from_string(graph_of(*sound, node("Unsqueeze", "logit one", "column"), *nodes))
    model.graph.node[1].output[0] = "flat_logit"
    model.graph.node[2].input[0] = "flat_logit"
    model.graph.node[2].output[0] = "logit"
    model.graph.initializer.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    model.graph.output.append(helper.make_tensor_value_info("activation", TensorProto.FLOAT, None))
    return model.SerializeToString()


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
def smuggle(bundle: Path) -> Callable[[bytes], Path]:
    """Puts another graph into a bundle and vouches for it."""

    def put(graph: bytes) -> Path:
        (bundle / "model.onnx").write_bytes(graph)
        seal(bundle)
        return bundle

    return put


@pytest.mark.parametrize(("graph", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_graph_that_is_not_one_of_ours_is_refused(
    smuggle: Callable[[bytes], Path], graph: bytes, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Predictor.load(smuggle(graph))


def averaged(places: str) -> Node:
    return node("ReduceMean", places, "activation", axes=[3], keepdims=0)


@pytest.mark.parametrize(
    ("nodes", "shape"),
    [
        ([node("Identity", "numbers", "activation")], r"\(1, 32, 32, 3\)"),
        ([node("Identity", "flat_logit", "activation")], r"\(1,\)"),
        ([NOTHING, node("Div", "nothing nothing", "undefined"), averaged("undefined")], r"\(1, 32, 32\)"),
        ([node("Concat", "numbers numbers", "wide", axis=2), averaged("wide")], r"\(1, 32, 64\)"),
        ([node("Concat", "numbers numbers", "more", axis=0), averaged("more")], r"\(2, 32, 32\)"),
    ],
    ids=["four axes", "no places", "no number", "more places than pixels", "more pictures"],
)
def test_an_activation_that_is_not_one_of_ours_is_refused(nodes: list[Node], shape: str) -> None:
    pixels = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    session = open_graph(telling(*nodes), "here")
    assert run_graph(session, pixels).positive == pytest.approx([0.0])  # nobody asked for it
    with pytest.raises(ModelError, match=rf"finite `activation` of shape \(1, height, width\).* it gives {shape}"):
        run_class_activation(session, pixels)


def test_an_output_of_another_name_is_refused() -> None:
    graph = telling(node("Identity", "flat_logit", "activation")).replace(b"activation", b"actuations")
    with pytest.raises(ModelError, match=r"it takes .* and gives .*actuations"):
        open_graph(graph, "here")


def test_a_graph_for_another_size_is_refused(bundle: Path, change_card: ChangeCard) -> None:

    def enlarge(card: dict[str, Any]) -> None:
        card["image_size"] = card["config"]["data"]["image_size"] = 64

    change_card(enlarge)
    with pytest.raises(ModelError, match=r"cannot be run on images of shape \(64, 64, 3\)"):
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
