#!/bin/sh
# Keras 3.15.1 on torch 2.13.0: a Dropout layer made without a seed does not use its seed generator.
# Guess: as on TensorFlow and JAX, the layer's masks follow from `layer.seed_generator.state`. Setting the state again
# repeats a mask, so a checkpoint that holds all of `model.variables` resumes with the same bits.
# Seen: with Dropout(0.5) equal states give different masks, and the state does not advance; with Dropout(0.5, seed=0)
# equal states give equal masks. Without a seed the mask comes from torch's global generator, which is not a variable.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 torch==2.13.0
KERAS_BACKEND=torch KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np

inputs = keras.ops.ones((1, 64))


def mask(layer: keras.layers.Dropout) -> np.ndarray:
    layer.seed_generator.state.assign([1, 2])
    return keras.ops.convert_to_numpy(layer(inputs, training=True)) > 0


for seed, repeats in ((None, False), (0, True)):
    layer = keras.layers.Dropout(0.5, seed=seed)
    first, second = mask(layer), mask(layer)
    state = keras.ops.convert_to_numpy(layer.seed_generator.state).tolist()
    print(f"seed={seed}: equal masks {np.array_equal(first, second)}, state after a call {state}")
    assert np.array_equal(first, second) == repeats, "Keras' behavior has changed"
    assert (state != [1, 2]) == repeats, "Keras' behavior has changed"
PYTHON
