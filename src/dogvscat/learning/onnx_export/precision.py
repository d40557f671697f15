"""A bundle's graph with numbers of 16 or 8 bits. The logit and everything after it stay in float32."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from dogvscat.bundle.export.formats import Conversion, describe_cost, run_in_batches, time_ratio
from dogvscat.bundle.export.quantization import calibration_pixels, integer_convolutions
from dogvscat.bundle.folder import MODEL_FILE, Bundle
from dogvscat.bundle.graph import ACTIVATION, open_graph
from dogvscat.labels import NEITHER
from dogvscat.network.operations import LOGIT, PIXELS, Operation
from dogvscat.stderr import quiet_stderr

_CALIBRATION_BATCH = 4


def convert_to_float16(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The bundle's graph with weights and arithmetic in float16.

    Args:
        bundle: What to export.
        pixels: Pictures to answer, uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if the graph cannot be run.
    """
    return _convert(bundle, _with_float16(bundle.model), pixels, "float16")


def convert_to_int8(bundle: Bundle, pixels: np.ndarray, photos: Path | None) -> Conversion:
    """The bundle's graph with convolutions in 8 bits.

    Args:
        bundle: What to export.
        pixels: Pictures to answer, uint8 (num_images, image_size, image_size, 3).
        photos: A folder or zip of photos. The ranges of the activations are chosen on them and on drawings; None for
            drawings only.

    Raises:
        ModelError: if the graph cannot be run, or the network has only one convolution, which stays in float32.
        DataError: if there is no photo in `photos`.
    """
    convolutions = integer_convolutions(bundle.card.config.network.operations(bundle.card.image_size))
    graph = quantize_convolutions(bundle.model, convolutions, calibration_pixels(bundle, photos))
    return _convert(bundle, graph, pixels, "int8")


def _with_float16(data: bytes) -> bytes:
    """The same graph computed in float16: the pixels are cast to float16, and values are cast back to float32 where the
    logit is computed."""
    model = onnx.load_from_string(data)
    graph = model.graph
    exact = [node for node in graph.node if node.name.partition(".")[0] in (LOGIT, "logits", NEITHER, ACTIVATION)]
    exact_inputs = {name for node in exact for name in node.input}
    for constant in graph.initializer:
        if constant.data_type == TensorProto.FLOAT and constant.name not in exact_inputs:
            constant.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), constant.name)
            )
    nodes: list[onnx.NodeProto] = []
    given = {output for node in graph.node if node not in exact for output in node.output}
    for node in graph.node:
        if node.op_type == "Cast":
            node.attribute[0].i = TensorProto.FLOAT16
        elif node in exact:
            for index, name in enumerate(node.input):
                if name in given:
                    node.input[index] = f"{node.name}.float"
                    nodes.append(
                        helper.make_node("Cast", [name], [node.input[index]], node.input[index], to=TensorProto.FLOAT)
                    )
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def quantize_convolutions(data: bytes, convolutions: Sequence[Operation], pixels: np.ndarray) -> bytes:
    """A graph with some convolutions in 8 bits, by static quantization.

    Args:
        data: The graph in float32, from `write_onnx`.
        convolutions: Those to compute with integers.
        pixels: Images to choose the ranges of the activations on, uint8 (n, image_size, image_size, 3).
    """
    # It also prints to stdout, which is for answers.
    with tempfile.TemporaryDirectory() as folder, quiet_stderr(), redirect_stdout(StringIO()):
        file = Path(folder, MODEL_FILE)
        quantize_static(
            onnx.load_from_string(data),
            file,
            _Calibration(pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=[operation.name for operation in convolutions],
            per_channel=True,
            calibrate_method=CalibrationMethod.Percentile,
            reduce_range=True,  # 7 bits: products of 8 overflow in the sums of processors without VNNI
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(file)
    for constant in model.graph.initializer:  # all of them as bytes: graph_file.py reads no other form of integers
        constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant), constant.name))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


class _Calibration:
    """A `CalibrationDataReader`: hands out pictures in batches, once."""

    def __init__(self, pixels: np.ndarray) -> None:
        # All of one size: with the percentile, the calibration of ONNX Runtime 1.32 fails on a shorter last batch.
        starts = range(0, len(pixels) - _CALIBRATION_BATCH + 1, _CALIBRATION_BATCH)
        self._batches: Iterator[np.ndarray] = iter([pixels[start : start + _CALIBRATION_BATCH] for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch as input of the graph, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {PIXELS: batch}


def _convert(bundle: Bundle, graph: bytes, pixels: np.ndarray, precision: str) -> Conversion:
    session, exact = open_graph(graph, "the export"), open_graph(bundle.model, str(bundle.folder))
    names = [value.name for value in session.get_outputs()]
    logits = run_in_batches(lambda batch: dict(zip(names, session.run(names, {PIXELS: batch}), strict=True)), pixels)
    runs = [partial(each.run, [LOGIT], {PIXELS: pixels[:1]}) for each in (session, exact)]
    cost = describe_cost([len(graph), len(bundle.model)], time_ratio(*runs), "ONNX Runtime")
    read_by = f"ONNX Runtime {onnxruntime.__version__}"
    return Conversion({MODEL_FILE: graph}, MODEL_FILE, logits, read_by, precision, cost)
