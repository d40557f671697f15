#!/bin/sh
# onnxconverter-common 1.16.0 writes a float16 graph that no runtime loads, if the graph has a Cast to float32.
# Guess: convert_float_to_float16 makes a Cast to float32 a Cast to float16, or appends one, as it treats all other nodes.
# Seen: the Cast still gives float32, but its value is declared as float16, and the Mul behind it has a constant of
# float16. onnx.checker and ONNX Runtime refuse the graph. With "Cast" in op_block_list, a second Cast is appended, and
# the graph works. The converter inside ONNX Runtime 1.32.0 (onnxruntime.transformers.float16) changes the Cast itself.
# Valid input: bytes in, cast to float32, times one half: the usual entrance of a network that takes pixels.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxconverter-common==1.16.0 onnxruntime==1.32.0 \
    onnx==1.23.0 numpy==2.4.6
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxconverter_common.float16 import convert_float_to_float16
from onnxruntime.transformers.float16 import convert_float_to_float16 as convert_by_onnxruntime

pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 3])
answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 3])
cast = helper.make_node("Cast", ["pixels"], ["float"], "cast", to=TensorProto.FLOAT)
halving = helper.make_node("Mul", ["float", "half"], ["answer"], "halving")
half = numpy_helper.from_array(np.array([0.5], np.float32), "half")
graph = helper.make_graph([cast, halving], "graph", [pixels], [answer], [half])
valid = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
levels = np.array([[1, 2, 3]], np.uint8)


def outcome(model):
    """What the checker and ONNX Runtime say about a graph."""
    try:
        onnx.checker.check_model(model, full_check=True)
        checked = "valid"
    except onnx.shape_inference.InferenceError as error:
        checked = "refused: " + str(error).strip().rsplit("] ", 1)[-1]
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        result = str(session.run(None, {"pixels": levels})[0].tolist())
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        result = "refused: " + str(error).rsplit(" : ", 1)[-1]
    casts = [TensorProto.DataType.Name(node.attribute[0].i) for node in model.graph.node if node.op_type == "Cast"]
    return casts, checked, result


def copy():
    return onnx.load_from_string(valid.SerializeToString())


answers = str([[0.5, 1.0, 1.5]])
outcomes = {
    "as written": outcome(valid),
    "onnxconverter-common": outcome(convert_float_to_float16(copy())),
    "onnxconverter-common, Cast blocked": outcome(convert_float_to_float16(copy(), op_block_list=["Cast"])),
    "onnxruntime.transformers": outcome(convert_by_onnxruntime(copy())),
}
for name, (casts, checked, result) in outcomes.items():
    print(f"{name}: Cast to {' and '.join(casts)}; checker: {checked}; ONNX Runtime: {result}")
refused = outcomes.pop("onnxconverter-common")
assert all(checked == "valid" and result == answers for _, checked, result in outcomes.values())
assert refused[0] == ["FLOAT"] and "refused" in refused[1] and "refused" in refused[2], "the behavior has changed"
assert outcomes["onnxconverter-common, Cast blocked"][0] == ["FLOAT", "FLOAT16"], "the behavior has changed"
PYTHON
