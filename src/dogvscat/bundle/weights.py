"""The weights of a bundle's network, from which trainings and exports can start.

Most of the weights are kernels. They lie in `model.onnx` already, and `weights.npz` has all others, so a bundle holds
each large array once, in float32. Where a normalization was folded into a kernel, it is taken out again: the kernel is
then that of the training up to the rounding of its last bit.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from dogvscat.bundle.folder import WEIGHTS_FILE, Bundle
from dogvscat.bundle.publish import kernels_in_graph, unpack_weights
from dogvscat.errors import ModelError
from dogvscat.network.folding import unfold_kernels


def load_weights(bundle: Bundle) -> dict[str, np.ndarray]:
    """All weights of a bundle's network by name, float32, in the order of its operations.

    Raises:
        ModelError: if they are damaged, or not those of the network that the card describes.
    """
    operations = bundle.card.config.network.operations(bundle.card.image_size)
    stored = unpack_weights(bundle.read(WEIGHTS_FILE))
    constants = {constant.name: constant for constant in onnx.load_from_string(bundle.model).graph.initializer}
    kernels = {name: _from_onnx(constants[name]) for name in kernels_in_graph(operations) if name in constants}
    expected = {name: tuple(shape) for operation in operations for name, shape in operation.weights.items()}
    received = {name: values.shape for name, values in {**stored, **kernels}.items()}
    for name in expected | received:
        if expected.get(name) != received.get(name):
            raise ModelError(
                f"the weights of {bundle.folder} are not those of the network that its card describes: expected "
                f"{name} with shape {expected.get(name)}, received {received.get(name)}"
            )
    return unfold_kernels(operations, {**stored, **kernels})


def _from_onnx(constant: onnx.TensorProto) -> np.ndarray:
    """A kernel in the shape that the description has: (height, width, in, out) or (in, out)."""
    kernel = numpy_helper.to_array(constant)
    return kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel
