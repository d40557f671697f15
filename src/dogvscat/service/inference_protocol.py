"""The Open Inference Protocol, version 2: how programs ask an inference server that they know nothing else about.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from dogvscat._version import __version__
from dogvscat.bundle.predict.predictor import Prediction
from dogvscat.service.inference import Answering
from dogvscat.service.problem_details import RequestError
from dogvscat.service.uploads import read_body

INPUT = "pixels"
_BYTES_A_NUMBER = 6
"""In JSON: three digits, a comma, and room for spaces."""


class Tensor(BaseModel):
    """A tensor of a request, flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class Wanted(BaseModel):
    """An output that a request asks for."""

    name: str


class InferRequest(BaseModel):
    """What is asked. Parameters are allowed by the protocol, and none is known here."""

    id: str | None = None
    inputs: list[Tensor]
    outputs: list[Wanted] | None = None


def protocol_routes(answering: Answering, model: str, model_version: str) -> APIRouter:
    """Everything under `/v2`.

    Args:
        answering: What answers.
        model: Its name in paths.
        model_version: Its version in paths, where one is given.
    """
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    most, size = answering.admission.limits.tensor_pictures, answering.predictor.card.image_size
    most_bytes = most * size * size * 3 * _BYTES_A_NUMBER + 64 * 1024

    def check(name: str, version: str | None) -> None:
        if name != model or version not in (None, model_version):
            raise RequestError(404, "not_found", f"there is no such model, only {model!r} in version {model_version!r}")

    @routes.get("/")
    @routes.get("", include_in_schema=False)
    async def server_metadata() -> Response:
        return JSONResponse({"name": "dogvscat", "version": __version__, "extensions": []})

    @routes.get("/health/live")
    async def live() -> Response:
        return JSONResponse({"live": True})

    @routes.get("/health/ready")
    async def ready() -> Response:
        return JSONResponse({"live": True, "ready": answering.ready}, 200 if answering.ready else 503)

    @routes.get("/models/{name}/ready")
    @routes.get("/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str | None = None) -> Response:
        check(name, version)
        return JSONResponse({"name": name, "ready": answering.ready}, 200 if answering.ready else 503)

    @routes.get("/models/{name}")
    @routes.get("/models/{name}/versions/{version}")
    async def model_metadata(name: str, version: str | None = None) -> Response:
        check(name, version)
        return JSONResponse(_metadata(answering, model, model_version))

    @routes.post("/models/{name}/infer", openapi_extra=_request_schema())
    @routes.post("/models/{name}/versions/{version}/infer", openapi_extra=_request_schema())
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        check(name, version)
        answering.admission.check()
        body = await read_body(request, most_bytes)
        asked, pixels = await answering.in_thread(_parsed, body, size, most)
        outputs = _outputs(await answering.pixels(pixels), answering.predictor.card.class_names)
        if asked.outputs:
            outputs = [_named(outputs, wanted.name) for wanted in asked.outputs]
        echo = {} if asked.id is None else {"id": asked.id}
        return JSONResponse({"model_name": model, "model_version": model_version, **echo, "outputs": outputs})

    return routes


def _metadata(answering: Answering, model: str, version: str) -> dict[str, Any]:
    size = answering.predictor.card.image_size
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
    ]
    if answering.predictor.card.config.network.neither_output:
        outputs.append({"name": "neither", "datatype": "FP64", "shape": [-1]})
    inputs = [{"name": INPUT, "datatype": "UINT8", "shape": [-1, size, size, 3]}]
    return {"name": model, "versions": [version], "platform": "onnx_onnxruntime", "inputs": inputs, "outputs": outputs}


def _parsed(body: bytes, size: int, most: int) -> tuple[InferRequest, np.ndarray]:
    """A request and its pixels, uint8 (num_images, size, size, 3)."""
    try:
        asked = InferRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(f"{'.'.join(map(str, first['loc'])) or 'the request'}: {first['msg']}") from None
    if [tensor.name for tensor in asked.inputs] != [INPUT]:
        raise _bad(f"expected one input named {INPUT!r}, received {[tensor.name for tensor in asked.inputs]}")
    tensor = asked.inputs[0]
    if tensor.datatype != "UINT8":
        raise _bad(f"{INPUT} should be UINT8, received {tensor.datatype}")
    if len(tensor.shape) != 4 or tensor.shape[1:] != [size, size, 3] or not 0 < tensor.shape[0] <= most:
        raise _bad(f"the shape of {INPUT} should be [1 to {most}, {size}, {size}, 3], received {tensor.shape}")
    return asked, _pixels(tensor)


def _pixels(tensor: Tensor) -> np.ndarray:
    try:
        numbers = np.asarray(tensor.data)
    except ValueError:  # lists of different lengths
        raise _bad(f"the data of {INPUT} is ragged") from None
    if numbers.dtype.kind != "i":
        raise _bad(f"the data of {INPUT} should be whole numbers, 0 to 255")
    if numbers.size != np.prod(tensor.shape) or (numbers.ndim > 1 and list(numbers.shape) != tensor.shape):
        raise _bad(f"the data of {INPUT} has the shape {list(numbers.shape)}, its request says {tensor.shape}")
    if numbers.min() < 0 or numbers.max() > 255:
        raise _bad(f"the data of {INPUT} lies between {numbers.min()} and {numbers.max()}, expected 0 to 255")
    return numbers.astype(np.uint8).reshape(tensor.shape)


def _outputs(predictions: list[Prediction], class_names: tuple[str, str]) -> list[dict[str, Any]]:
    num = len(predictions)
    chances = [prediction.probabilities[name] for prediction in predictions for name in class_names]
    outputs: list[dict[str, Any]] = [
        {
            "name": "label",
            "datatype": "BYTES",
            "shape": [num],
            "data": [prediction.label for prediction in predictions],
        },
        {"name": "probabilities", "datatype": "FP64", "shape": [num, 2], "data": chances},
    ]
    missing = [prediction.neither for prediction in predictions]
    if None not in missing:
        outputs.append({"name": "neither", "datatype": "FP64", "shape": [num], "data": missing})
    return outputs


def _named(outputs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for output in outputs:
        if output["name"] == name:
            return output
    raise _bad(f"there is no output {name!r}, only {', '.join(output['name'] for output in outputs)}")


def _bad(message: str) -> RequestError:
    return RequestError(400, "request", message)


def _request_schema() -> dict[str, Any]:
    schema = InferRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["$defs"] = {}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
