#!/bin/sh
# ONNX Runtime 1.32.0 cannot calibrate on batches of different sizes: with percentile, entropy or distribution,
# quantize_static fails if one batch (usually the last) is shorter than the others.
# Guess: the axis of images is dynamic, so batches of any size work, and all calibration methods accept the same ones.
# Seen: ValueError "setting an array element with a sequence. The requested array has an inhomogeneous shape" from NumPy,
# with 3 batches of 4, 4 and 2 images; batches of 4, 4 and 4 work. The method MinMax accepts both.
# Valid input: a graph of one convolution with the shape (n, 3, 8, 8), which computes every batch.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.0 numpy==2.4.6
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - "$folder/quantized.onnx" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, quantize_static

rng = np.random.default_rng(0)
weight = numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "weight")
pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 8, 8])
answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 4, 6, 6])
convolution = helper.make_node("Conv", ["pixels", "weight"], ["answer"], "convolution")
graph = helper.make_graph([convolution], "graph", [pixels], [answer], [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Batches:
    def __init__(self, sizes):
        self.batches = [rng.normal(size=(size, 3, 8, 8)).astype(np.float32) for size in sizes]
        for batch in self.batches:
            assert session.run(None, {"pixels": batch})[0].shape == (len(batch), 4, 6, 6)

    def get_next(self):
        return {"pixels": self.batches.pop(0)} if self.batches else None


for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile, CalibrationMethod.Entropy):
    for sizes in ((4, 4, 4), (4, 4, 2)):
        try:
            quantize_static(model, sys.argv[1], Batches(sizes), calibrate_method=method)
            outcome = "works"
        except ValueError as error:
            outcome = str(error)
        print(f"RESULT {method.name}, batches of {sizes}: {outcome}")
        expected = "inhomogeneous" if method.name != "MinMax" and sizes[-1] == 2 else "works"
        assert expected in outcome, "the behavior has changed"
PYTHON
