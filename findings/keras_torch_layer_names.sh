#!/bin/sh
# Keras 3.15.1 on torch 2.13.0 refuses a layer whose name has a point, and only when a model is made of it.
# Guess: a name that Keras takes is taken on each of its backends; Keras itself refuses only "/".
# Seen: `Dense(1, name="stage1.dense1")` can be made and called. `keras.Model` then raises KeyError: module name can't
# contain ".", from torch, which keeps layers as its modules. On TensorFlow and JAX the same model works.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 torch==2.13.0
KERAS_BACKEND=torch KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import keras

inputs = keras.Input((2,))
outputs = keras.layers.Dense(1, name="stage1.dense1")(inputs)
print("the layer is made")
try:
    keras.Model(inputs, outputs)
except KeyError as error:
    print("the model is refused:", error)
else:
    raise AssertionError("the behaviour has changed")
PYTHON
