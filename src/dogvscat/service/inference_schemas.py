"""Requests and answers of the Open Inference Protocol, for the parser and for the OpenAPI description."""

from typing import Any

from pydantic import BaseModel, Field

from dogvscat.service.openapi import error_descriptions, reference


class Tensor(BaseModel):
    """A tensor of a request, flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class RequestedOutput(BaseModel):
    """An output that a request asks for."""

    name: str


class InferRequest(BaseModel):
    """The body of a request. The protocol also allows parameters; they are accepted and ignored."""

    id: str | None = None
    inputs: list[Tensor]
    outputs: list[RequestedOutput] | None = None


class OutputTensor(BaseModel):
    """A tensor of an answer, flat."""

    name: str
    datatype: str
    shape: list[int]
    data: list[str | float]


class InferResponse(BaseModel):
    """The answer to a request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """An input or output of the model. -1 in its shape stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The model with its inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(BaseModel):
    """Whether the model answers."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """Whether the server runs."""

    live: bool


class ServerReady(BaseModel):
    """Whether the server accepts photos."""

    live: bool
    ready: bool
    killed_decoders: int = Field(description="Number of decoding processes that ended because of a photo.")


def answers(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of an operation that have this form, with 200 and these statuses."""
    return {status: {"model": model} for status in (200, *statuses)}


_NO_MODEL = error_descriptions("/v2", {404: "There is no such model or version."})
_INFER_ERRORS = error_descriptions(
    "/v2",
    {
        400: "The request is not valid.",
        404: "There is no such model or version.",
        408: "The body arrived too slowly.",
        413: "The body is too large.",
        429: "An answer would come too late, or this client sends too many requests.",
        503: "There was no answer within the deadline, or the server is stopping.",
    },
)
_INFER_BODY = {"required": True, "content": {"application/json": {"schema": reference(InferRequest)}}}

# Arguments of the routes that exist with and without a version in their path.
READY: dict[str, Any] = {
    "summary": "Whether the model answers",
    "responses": {**answers(ModelReady, 503), **_NO_MODEL},
}
METADATA: dict[str, Any] = {
    "summary": "Describe the model's inputs and outputs",
    "responses": {**answers(ModelMetadata), **_NO_MODEL},
}
INFER: dict[str, Any] = {
    "summary": "Predict what decoded images show",
    "responses": {**answers(InferResponse), **_INFER_ERRORS},
    "openapi_extra": {"requestBody": _INFER_BODY},
}
