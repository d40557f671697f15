#!/bin/sh
# ONNX Runtime 1.32.0: one unit in the last place of the first weights moves the logit of an int8 graph by a hundredth.
# Guess: rounding to 8 bits swallows differences of 1e-7. So where the float kernel in front rounds in another way, as on
# another processor, an int8 graph gives the same answer at least as often as its float graph.
# Seen: each weight of the first convolution, which stays in float32, is set to the next larger float32. The float graph's
# logits change by 1.4e-6 at most. Those of the int8 graph change by up to 0.018, and by more than 0.001 for 7 of 32
# images. (The logits' standard deviation is 0.25.) Run again without the change, either graph gives the same bits.
# Valid input: 12 convolutions with random weights; all but the first are quantized, the mean and the logit are not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.0 numpy==2.4.6
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - "$folder" 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_static

DEPTH, CHANNELS, SIZE = 12, 16, 64
folder = Path(sys.argv[1])
rng = np.random.default_rng(0)


def weight(name, scale, *shape):
    return numpy_helper.from_array((rng.normal(size=shape) * scale).astype(np.float32), name)


def network():
    """Convolutions with a Relu each, the mean over the positions, and one logit."""
    nodes, weights, value, width = [], [], "pixels", 3
    for layer in range(DEPTH):
        weights.append(weight(f"kernel{layer}", np.sqrt(2 / (9 * width)), CHANNELS, width, 3, 3))
        options = {"pads": [1, 1, 1, 1], "strides": [2, 2] if layer in (2, 5) else [1, 1]}
        nodes.append(helper.make_node("Conv", [value, f"kernel{layer}"], [f"sum{layer}"], f"conv{layer}", **options))
        nodes.append(helper.make_node("Relu", [f"sum{layer}"], [f"features{layer}"], f"relu{layer}"))
        value, width = f"features{layer}", CHANNELS
    nodes.append(helper.make_node("ReduceMean", [value], ["means"], "mean", axes=[2, 3], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["means", "head_weight"], ["logit"], "head"))
    weights.append(weight("head_weight", 4, CHANNELS, 1))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
    logit = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph(nodes, "graph", [pixels], [logit], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def images(number):
    """Blocks of 8 x 8 pixels of one color, with noise."""
    blocks = np.kron(rng.normal(size=(number, 3, SIZE // 8, SIZE // 8)), np.ones((8, 8)))
    return (blocks + rng.normal(size=blocks.shape) * 0.3).astype(np.float32)


class Calibration:
    def __init__(self):
        self.batches = [images(8) for _ in range(4)]

    def get_next(self):
        return {"pixels": self.batches.pop()} if self.batches else None


def logits(name, raised=False):
    """The logits of a graph; if raised, with each weight of the first convolution set to the next larger float32."""
    model = onnx.load(folder / f"{name}.onnx")
    if raised:
        (kernel,) = (tensor for tensor in model.graph.initializer if tensor.name == "kernel0")
        larger = np.nextafter(numpy_helper.to_array(kernel), np.float32(np.inf))
        kernel.CopyFrom(numpy_helper.from_array(larger, "kernel0"))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": pixels})[0][:, 0].astype(np.float64)


onnx.save(network(), folder / "float.onnx")
quantize_static(
    folder / "float.onnx",
    folder / "int8.onnx",
    Calibration(),
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    reduce_range=True,  # so that no processor's sums of products saturate
    nodes_to_exclude=["conv0", "mean", "head"],
)
pixels = images(32)
changes = {}
for name in ("float", "int8"):
    plain = logits(name)
    assert np.array_equal(plain, logits(name)), "the same graph gives other bits"
    changes[name] = np.abs(logits(name, raised=True) - plain)
    print(f"{name}: standard deviation of the logits {plain.std():.2f}, changes up to {changes[name].max():.1e},")
    print(f"    over 0.001 in {np.sum(changes[name] > 1e-3)} of {len(pixels)} images")
errors = np.abs(logits("int8") - logits("float"))
print(f"int8 against float: median {np.median(errors):.1e}, largest {errors.max():.1e}")
assert changes["float"].max() < 1e-5 and changes["int8"].max() > 1e-3, "the behavior has changed"
PYTHON
