#!/bin/sh
# ONNX Runtime 1.32.0: quantize_static takes the weights out of the model that it is given as an object.
# Guess: "model_input: file path of model or ModelProto" is only read, and the quantized model is what is written.
# Seen: the quantized file is right. But in the given ModelProto each weight of 1 KiB or more is empty afterwards, and names
# a file in a temporary folder that is gone. Smaller weights stay. So ONNX Runtime refuses the model, a second
# quantize_static (with another method, say) is refused, and onnx.save writes a file without weights and reports nothing.
# quantize_dynamic leaves its model as it was; so does quantize_static with the path of the same model.
# Valid input: two convolutions, whose weights have 432 and 1152 bytes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.0 numpy==2.4.6
cd "$folder"
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, quantize_dynamic, quantize_static

rng = np.random.default_rng(0)


def weight(name, *shape):
    return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)


weights = [weight("small", 4, 3, 3, 3), weight("large", 8, 4, 3, 3)]
pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 8, 8])
answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 8, 4, 4])
nodes = [
    helper.make_node("Conv", ["pixels", "small"], ["features"], "first"),
    helper.make_node("Conv", ["features", "large"], ["answer"], "second"),
]
graph = helper.make_graph(nodes, "graph", [pixels], [answer], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
as_made = model.SerializeToString()
Path("model.onnx").write_bytes(as_made)


class Batches:
    def __init__(self):
        self.batches = [rng.normal(size=(4, 3, 8, 8)).astype(np.float32) for _ in range(3)]

    def get_next(self):
        return {"pixels": self.batches.pop()} if self.batches else None


def outcome(action, *arguments, **options):
    """Whether a call works, or the type of its error."""
    try:
        action(*arguments, **options)
    except Exception as error:
        return type(error).__name__
    return "works"


def load(model):
    onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


quantize_dynamic(model, "dynamic.onnx")
for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile):
    quantize_static("model.onnx", "static.onnx", Batches(), calibrate_method=method)
assert model.SerializeToString() == as_made == Path("model.onnx").read_bytes()
load(as_made)

quantize_static(model, "static.onnx", Batches())
load("static.onnx")
state = {tensor.name: (len(tensor.raw_data), len(tensor.external_data) > 0) for tensor in model.graph.initializer}
outcomes = {
    "ONNX Runtime": outcome(load, model.SerializeToString()),
    "quantize_static again": outcome(quantize_static, model, "again.onnx", Batches()),
    "onnx.save": outcome(onnx.save, model, "saved.onnx"),
    "onnx.load of what was saved": outcome(onnx.load, "saved.onnx"),
}
print("RESULT bytes of each weight, and whether it names a file:", state)
for name, result in outcomes.items():
    print(f"RESULT {name}: {result}")
assert state == {"small": (432, False), "large": (0, True)}, "the behavior has changed"
assert outcomes.pop("onnx.save") == "works" and "works" not in outcomes.values(), "the behavior has changed"
PYTHON
