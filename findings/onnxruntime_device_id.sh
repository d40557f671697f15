#!/bin/sh
# ONNX Runtime 1.32.0 on Linux writes files into the home folder as soon as the first session is made.
# Guess: loading a model reads the model and writes nothing.
# Seen: .cache/Microsoft/DeveloperTools/.onnxruntime holds a device id and a database afterwards. With
# ORT_DISABLE_TELEMETRY=1 (or true) there is none; with ORT_DISABLE_TELEMETRY=0 there is.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.0
cat > "$folder/session.py" <<'PYTHON'
import sys

import onnx
import onnxruntime
from onnx import TensorProto, helper

value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.checker.check_model(model)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
PYTHON
files_written() {  # number of files in a fresh home after one session, with the given setting
    rm -rf "$folder/home"
    mkdir "$folder/home"
    env -u XDG_CACHE_HOME HOME="$folder/home" ${1:+"ORT_DISABLE_TELEMETRY=$1"} "$folder/venv/bin/python" "$folder/session.py"
    (cd "$folder/home" && find . -type f) > "$folder/files"
    wc -l < "$folder/files"
}
for setting in "" 0 1 true; do
    number=$(files_written "$setting")
    echo "ORT_DISABLE_TELEMETRY='$setting': $number files in the home folder"
    sed 's/^/    /' "$folder/files"
    case "$setting" in
        1 | true) test "$number" -eq 0 ;;
        *) test "$number" -gt 0 ;;
    esac || { echo "the behavior has changed"; exit 1; }
done
