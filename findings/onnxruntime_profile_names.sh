#!/bin/sh
# The profile of ONNX Runtime 1.32.0 does not name convolutions as the graph does, on x86-64 with its default settings.
# Guess: the times of a profile are listed under the names of the graph's nodes, and a fused node keeps the name of its
# convolution.
# Seen: a convolution is listed under the name of its output value and "_nchwc"; with a Relu behind it, under that of the
# Relu's output. So times that are added up by name go to the Relu. An Add and a Relu after a convolution disappear from
# the profile, but here the name is that of the convolution's own output. With ORT_ENABLE_EXTENDED instead of the
# default, the names are those of the convolutions.
# Valid input: three convolutions of 16 channels, the second with a residual connection.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.0 numpy==2.4.6
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - "$folder/profile" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def kernel(name, channels):
    return numpy_helper.from_array(rng.normal(size=(16, channels, 3, 3)).astype(np.float32), name)


def node(kind, inputs, output, name):
    return helper.make_node(kind, inputs, [output], name, **({"pads": [1, 1, 1, 1]} if kind == "Conv" else {}))


nodes = [
    node("Conv", ["pixels", "weight1"], "value_a", "conv1"),
    node("Relu", ["value_a"], "value_b", "relu1"),
    node("Conv", ["value_b", "weight2"], "value_c", "conv2"),
    node("Add", ["value_c", "value_b"], "value_d", "add2"),
    node("Relu", ["value_d"], "value_e", "relu2"),
    node("Conv", ["value_e", "weight3"], "answer", "conv3"),
]
pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 32, 32])
answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 16, 32, 32])
weights = [kernel("weight1", 3), kernel("weight2", 16), kernel("weight3", 16)]
graph = helper.make_graph(nodes, "graph", [pixels], [answer], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)


def names(level):
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = sys.argv[1]
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, {"pixels": np.zeros((1, 3, 32, 32), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [event for event in events if event["name"].endswith("_kernel_time")]
    return [(event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]) for event in kernels]


default = names(onnxruntime.SessionOptions().graph_optimization_level)
extended = names(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
for title, listed in (("default", default), ("ORT_ENABLE_EXTENDED", extended)):
    print(f"{title}: {', '.join(f'{name} ({kind})' for name, kind in listed)}")
convolutions = [name for name, kind in default if "Conv" in kind]
assert convolutions == ["value_b_nchwc", "value_c_nchwc", "answer_nchwc"], "the behavior has changed"
assert not any(kind in ("Add", "Relu") for _, kind in default), "the behavior has changed"
assert [name for name, kind in extended if "Conv" in kind] == ["conv1", "conv2", "conv3"], "the behavior has changed"
PYTHON
