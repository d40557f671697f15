#!/bin/sh
# TensorFlow 2.21.0's QuantizationDebugger quantizes a SPLIT although its outputs are in denylisted_nodes.
# Guess: denylisted_nodes is "a list of op's output tensor names to be removed from quantization", so an operation whose
# outputs are all in it stays in float32.
# Seen: a matrix product whose output is listed stays in float32, but a split whose two outputs are listed is computed in
# int8, between a QUANTIZE and two DEQUANTIZE. So logits that are split are rounded to 8 bits. With denylisted_ops=["SPLIT"]
# it stays in float32.
# Valid input: a matrix product, its two halves, and their sum. Names are those that TensorFlow's own interpreter lists.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weight = tf.constant(rng.normal(size=(8, 4)), tf.float32)


@tf.function(input_signature=[tf.TensorSpec([1, 8], tf.float32)])
def halves(x):
    one, two = tf.split(tf.matmul(x, weight), 2, axis=1)
    return one + two


def calibration():
    for _ in range(20):
        yield [rng.normal(size=(1, 8)).astype(np.float32)]


converter = tf.lite.TFLiteConverter.from_concrete_functions([halves.get_concrete_function()])
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = calibration
debugger = tf.lite.experimental.QuantizationDebugger(converter=converter)


def outputs(model, kind):
    """Names and types of the outputs of the only operation of a kind."""
    interpreter = tf.lite.Interpreter(model_content=model)
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    (operation,) = (each for each in interpreter._get_ops_details() if each["op_name"] == kind)
    return [(tensors[index]["name"], tensors[index]["dtype"].__name__) for index in operation["outputs"]]


listed = [name for kind in ("FULLY_CONNECTED", "SPLIT") for name, _ in outputs(debugger.calibrated_model, kind)]
print("listed:", listed)
types = {}
for operations in (None, ["SPLIT"]):
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=listed, denylisted_ops=operations)
    model = debugger.get_nondebug_quantized_model()
    for kind in ("FULLY_CONNECTED", "SPLIT"):
        types[kind, bool(operations)] = {kind for _, kind in outputs(model, kind)}
        print(f"denylisted_ops={operations}: the outputs of {kind} are {outputs(model, kind)}")
assert types["FULLY_CONNECTED", False] == types["FULLY_CONNECTED", True] == types["SPLIT", True] == {"float32"}
assert types["SPLIT", False] == {"int8"}, "the behavior has changed"
PYTHON
