"""The Open Inference Protocol, version 2: a common protocol of inference servers, with tensors as JSON.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from dogvscat._version import __version__
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.service.inference import Inference
from dogvscat.service.inference_schemas import (
    INFER,
    METADATA,
    READY,
    InferRequest,
    ServerLive,
    ServerMetadata,
    ServerReady,
    Tensor,
    answers,
)
from dogvscat.service.json_response import PrintableJSONResponse
from dogvscat.service.problem_details import RequestError
from dogvscat.service.uploads import read_body

INPUT = "pixels"
_BYTES_PER_NUMBER = 6
"""In JSON: three digits, a comma, and room for spaces."""


def protocol_routes(inference: Inference, model: str, model_version: str) -> APIRouter:
    """All routes under `/v2`.

    Args:
        inference: Answers the requests.
        model: The name of the model in paths.
        model_version: Its version in paths that have one.
    """
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    max_images, size = inference.admission.limits.tensor_images, inference.predictor.card.image_size
    # A lower limit than for photos: parsed numbers take many times the memory of their text.
    max_bytes = max_images * size * size * 3 * _BYTES_PER_NUMBER + 64 * 1024

    def check_model(name: str, version: str | None) -> None:
        if name != model or version not in (None, model_version):
            raise RequestError(404, "not_found", f"there is no such model, only {model!r} in version {model_version!r}")

    @routes.get("/", summary="Describe the server", responses={200: {"model": ServerMetadata}})
    @routes.get("", include_in_schema=False)
    async def server_metadata() -> Response:
        return PrintableJSONResponse({"name": "dogvscat", "version": __version__, "extensions": []})

    @routes.get("/health/live", summary="Whether the server runs", responses={200: {"model": ServerLive}})
    async def server_live() -> Response:
        return PrintableJSONResponse({"live": True})

    @routes.get("/health/ready", summary="Whether photos are accepted", responses=answers(ServerReady, 503))
    async def server_ready() -> Response:
        killed = inference.decoders.num_killed.total()
        document = {"live": True, "ready": inference.ready, "killed_decoders": killed}
        return PrintableJSONResponse(document, 200 if inference.ready else 503)

    @routes.get("/models/{name}/ready", **READY)
    @routes.get("/models/{name}/versions/{version}/ready", **READY)
    async def model_ready(name: str, version: str | None = None) -> Response:
        check_model(name, version)
        return PrintableJSONResponse({"name": name, "ready": inference.ready}, 200 if inference.ready else 503)

    @routes.get("/models/{name}", **METADATA)
    @routes.get("/models/{name}/versions/{version}", **METADATA)
    async def model_metadata(name: str, version: str | None = None) -> Response:
        check_model(name, version)
        return PrintableJSONResponse(_model_metadata(inference, model, model_version))

    @routes.post("/models/{name}/infer", **INFER)
    @routes.post("/models/{name}/versions/{version}/infer", **INFER)
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        check_model(name, version)
        inference.admission.check()
        body = await read_body(request, max_bytes)
        infer_request, pixels = await inference.in_thread(_parse_request, body, size, max_images)
        outputs = _output_tensors(await inference.predict_pixels(pixels), inference.predictor.card.class_names)
        if infer_request.outputs:  # a missing or empty list asks for all outputs
            outputs = [_select_output(outputs, requested.name) for requested in infer_request.outputs]
        echo = {} if infer_request.id is None else {"id": infer_request.id}
        return PrintableJSONResponse({"model_name": model, "model_version": model_version, **echo, "outputs": outputs})

    return routes


def _model_metadata(inference: Inference, model: str, version: str) -> dict[str, Any]:
    size = inference.predictor.card.image_size
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "reason", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
    ]
    if inference.predictor.card.config.network.neither_output:
        outputs.append({"name": "neither", "datatype": "FP64", "shape": [-1]})
    inputs = [{"name": INPUT, "datatype": "UINT8", "shape": [-1, size, size, 3]}]
    return {"name": model, "versions": [version], "platform": "onnx_onnxruntime", "inputs": inputs, "outputs": outputs}


def _parse_request(body: bytes, size: int, max_images: int) -> tuple[InferRequest, np.ndarray]:
    """The request and its pixels, uint8 (num_images, size, size, 3), 1 to `max_images` images.

    Raises:
        RequestError: 400 if it is not a valid request.
    """
    try:
        infer_request = InferRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]  # the protocol has room for one message
        raise _bad_request(f"{'.'.join(map(str, first['loc'])) or 'the request'}: {first['msg']}") from None
    if [tensor.name for tensor in infer_request.inputs] != [INPUT]:
        raise _bad_request(
            f"expected one input named {INPUT!r}, received {[tensor.name for tensor in infer_request.inputs]}"
        )
    tensor = infer_request.inputs[0]
    if tensor.datatype != "UINT8":
        raise _bad_request(f"{INPUT} should be UINT8, received {tensor.datatype}")
    if len(tensor.shape) != 4 or tensor.shape[1:] != [size, size, 3] or not 0 < tensor.shape[0] <= max_images:
        raise _bad_request(
            f"the shape of {INPUT} should be [1 to {max_images}, {size}, {size}, 3], received {tensor.shape}"
        )
    return infer_request, _tensor_pixels(tensor)


def _tensor_pixels(tensor: Tensor) -> np.ndarray:
    """The data of a tensor as uint8 in its shape; flat and nested data are both allowed."""
    try:
        numbers = np.asarray(tensor.data)
    except ValueError:  # lists of different lengths
        message = f"the data of {INPUT} is ragged: its lists differ in length, expected the shape {tensor.shape}"
        raise _bad_request(message) from None
    if numbers.dtype.kind != "i":  # also "O", for integers beyond 64 bits and for null
        raise _bad_request(f"the data of {INPUT} should be whole numbers, 0 to 255")
    if numbers.size != np.prod(tensor.shape) or (numbers.ndim > 1 and list(numbers.shape) != tensor.shape):
        raise _bad_request(f"the data of {INPUT} has the shape {list(numbers.shape)}, the request says {tensor.shape}")
    if numbers.min() < 0 or numbers.max() > 255:
        raise _bad_request(f"the data of {INPUT} lies between {numbers.min()} and {numbers.max()}, expected 0 to 255")
    return numbers.astype(np.uint8).reshape(tensor.shape)


def _output_tensors(predictions: list[Prediction], class_names: tuple[str, str]) -> list[dict[str, Any]]:
    num = len(predictions)
    # Flat, in row-major order: (num, 2).
    probabilities = [prediction.probabilities[name] for prediction in predictions for name in class_names]
    labels = [prediction.label for prediction in predictions]
    reasons = [prediction.reason or "" for prediction in predictions]  # the protocol has no null
    outputs: list[dict[str, Any]] = [
        {"name": "label", "datatype": "BYTES", "shape": [num], "data": labels},
        {"name": "reason", "datatype": "BYTES", "shape": [num], "data": reasons},
        {"name": "probabilities", "datatype": "FP64", "shape": [num, 2], "data": probabilities},
    ]
    neither = [prediction.neither for prediction in predictions]
    if None not in neither:  # the network has this output
        outputs.append({"name": "neither", "datatype": "FP64", "shape": [num], "data": neither})
    return outputs


def _select_output(outputs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for output in outputs:
        if output["name"] == name:
            return output
    raise _bad_request(f"there is no output {name!r}, only {', '.join(output['name'] for output in outputs)}")


def _bad_request(message: str) -> RequestError:
    return RequestError(400, "request", message)
