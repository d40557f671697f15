#!/bin/sh
# Keras 3.15.1 on torch 2.13.0 refuses a layer with weights whose name has a point, but only when it is first called.
# Guess: a name that Keras accepts is accepted on each of its backends; Keras itself refuses only "/".
# Seen: `Dense(1, name="stage1.dense1")` can be made. The first call raises KeyError: parameter name can't contain ".".
# It comes from torch, which gets the weights under their Keras names. On TensorFlow and JAX the same code works, and a
# layer without weights may have such a name on torch as well.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 torch==2.13.0
KERAS_BACKEND=torch KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import keras

inputs = keras.Input((2,))
keras.Model(inputs, keras.layers.ReLU(name="stage1.relu1")(inputs))
print("a layer without weights is taken")
layer = keras.layers.Dense(1, name="stage1.dense1")
try:
    layer(inputs)
except KeyError as error:
    print("a layer with weights is refused:", error.args[0])
    assert error.args[0] == 'parameter name can\'t contain "."', "the behavior has changed"
else:
    raise AssertionError("the behavior has changed")
PYTHON
