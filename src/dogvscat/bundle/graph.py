"""A bundle's ONNX graph: opened as untrusted data, run, and its outputs checked."""

import ctypes
import os
from typing import TypeAlias
from weakref import WeakSet

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import; else it stores an id of this machine and looks up a host
import onnxruntime

from dogvscat.cpus import available_cpus
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Logits

Session: TypeAlias = onnxruntime.InferenceSession

ACTIVATION = "activation"
"""The output with the class activation map; only networks that end in global average pooling have it."""
_OUTPUTS = {"logit", "neither", ACTIVATION}
_open_sessions: WeakSet[Session] = WeakSet()


def open_graph(graph: bytes, origin: str, threads: int = 0) -> Session:
    """Make an ONNX graph ready to run.

    Args:
        graph: The contents of the ONNX file.
        origin: Where it came from, for errors.
        threads: CPU threads, 0 for as many as there are CPUs that this process may use.

    Raises:
        ModelError: if the graph cannot be run, or does not take pixels and give a logit.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.log_severity_level = 4  # only fatal errors: the others are raised, no need to print them too
    # Weights in files outside of the graph are not in the card, so nobody has verified them. A folder that cannot exist
    # keeps ONNX Runtime from reading any.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", f"{os.devnull}/none")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen types of its own, none of them public
        raise ModelError(f"the graph in {origin} cannot be run: {error}") from None
    _open_sessions.add(session)
    inputs = {value.name: value.type for value in session.get_inputs()}
    outputs = _outputs(session)
    if inputs != {"pixels": "tensor(uint8)"} or "logit" not in outputs or not outputs <= _OUTPUTS:
        raise ModelError(
            f"the graph in {origin} should take `pixels` as uint8 and give `logit`, "
            f"it takes {inputs} and gives {sorted(outputs)}"
        )
    return session


def run_graph(session: Session, pixels: np.ndarray) -> Logits:
    """The logits of a graph for some images.

    Args:
        session: From `open_graph`.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if an output is not one finite number per image.
    """
    names = sorted(_outputs(session) - {ACTIVATION})  # logit, neither: the order of the fields of Logits
    outputs = _run(session, names, pixels)
    for name, logits in zip(names, outputs, strict=True):
        if logits.shape != (len(pixels), 1) or not np.isfinite(logits).all():
            raise ModelError(
                f"the graph should give finite logits of shape {(len(pixels), 1)}, it gives {logits.shape} "
                f"as `{name}`: {logits[:3]}"
            )
    return Logits(*(logits[:, 0] for logits in outputs))  # each (num_images,)


def run_class_activation(session: Session, pixels: np.ndarray) -> np.ndarray | None:
    """The class activation map: the log-odds each position adds for the positive class. Their mean is the logit.

    Args:
        session: From `open_graph`.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Returns:
        float64 (num_images, height, width), with a few positions per side; None if the graph has no such output.

    Raises:
        ModelError: if the output has another shape or is not finite.
    """
    if ACTIVATION not in _outputs(session):
        return None
    (activation,) = _run(session, [ACTIVATION], pixels)
    image_size = pixels.shape[1]
    if (
        activation.ndim != 3
        or len(activation) != len(pixels)
        or not all(1 <= side <= image_size for side in activation.shape[1:])
        or not np.isfinite(activation).all()
    ):
        raise ModelError(
            f"the graph should give a finite `{ACTIVATION}` of shape ({len(pixels)}, height, width) with at most "
            f"{image_size} positions per side, it gives {activation.shape}"
        )
    return activation


def _run(session: Session, names: list[str], pixels: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True  # outputs that are not asked for cost no time
    try:
        outputs = session.run(names, {"pixels": pixels}, options)
        return [np.asarray(output, dtype=np.float64) for output in outputs]
    except Exception as error:  # as in open_graph
        raise ModelError(f"the graph cannot be run on images of shape {pixels.shape[1:]}: {error}") from None


def _outputs(session: Session) -> set[str]:
    return {value.name for value in session.get_outputs()}


def _keep_inherited_sessions() -> None:
    """In a forked child: never destroy the parent's sessions. A fork does not copy their threads, and a destructor that
    waits for them hangs or crashes."""
    for session in _open_sessions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))  # nobody will ever give this reference back


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_keep_inherited_sessions)
