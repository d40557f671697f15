"""The OpenAPI description, from which clients are generated: what FastAPI derives, and what it cannot know.

The handlers read bodies themselves, and errors are raised below FastAPI. So both are described here.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

_SCHEMAS = "#/components/schemas/"
_DERIVED_ERRORS = ("HTTPValidationError", "ValidationError")
"""FastAPI's own form of errors, which this service does not use."""


class Problem(BaseModel):
    """An error in the form of RFC 9457, with three more members: `code`, `hint` and `name`."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What was wrong, what was expected and what was received.")
    code: str = Field(description="A short name of the error, for programs.")
    hint: str | None = Field(None, description="What to do about it.")
    name: str | None = Field(None, description="The photo that the error is about.")


class ProtocolError(BaseModel):
    """An error in the form of the Open Inference Protocol."""

    error: str = Field(description="What was wrong, what was expected and what was received.")


def reference(model: type[BaseModel]) -> dict[str, str]:
    """A schema that refers to a model; `describe` must get the model as well."""
    return {"$ref": f"{_SCHEMAS}{model.__name__}"}


def error_descriptions(path: str, descriptions: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """The responses of an operation that are errors.

    Args:
        path: Of the operation.
        descriptions: What each status means.
    """
    if path.startswith("/v2"):
        content = {"application/json": {"schema": reference(ProtocolError)}}
    else:
        content = {"application/problem+json": {"schema": reference(Problem)}}
    return {str(status): {"description": text, "content": content} for status, text in descriptions.items()}


def describe(
    app: FastAPI, models: Sequence[type[BaseModel]], requires_token: bool, public_paths: frozenset[str]
) -> None:
    """Let the app describe itself with these models, and with the errors that every operation may have.

    Args:
        app: The app with all its routes.
        models: What `reference` refers to.
        requires_token: Whether the operations need a token.
        public_paths: Paths that need none.
    """
    document = get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
    schemas = document["components"]["schemas"]
    all_models: list[type[BaseModel]] = [Problem, ProtocolError, *models]
    _, definitions = models_json_schema(
        [(model, "validation") for model in all_models], ref_template=f"{_SCHEMAS}{{model}}"
    )
    schemas.update(definitions["$defs"])
    for name in _DERIVED_ERRORS:
        schemas.pop(name, None)
    if requires_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            is_secured = requires_token and path not in public_paths
            _complete(path, method, operation, is_secured)
    app.openapi = lambda: document  # type: ignore[method-assign]  # FastAPI's way to replace it


def operation_id(route: APIRoute) -> str:
    """The name of an operation, and of its function in generated clients."""
    return f"{route.name}_of_version" if "{version}" in route.path else route.name


def _complete(path: str, method: str, operation: dict[str, Any], is_secured: bool) -> None:
    responses = operation["responses"]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":  # the handler's default is for the path without this parameter
            parameter["schema"] = {"type": "string"}
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    descriptions = {421: "The Host header has a name that this service does not answer to (`--allow-host`)."}
    if method == "post":
        descriptions[403] = "The request came from a page that may not use this service (`--cors`)."
    if is_secured:
        descriptions[401] = "The request has no token, or an unknown one (`--token-file`)."
        operation["security"] = [{"token": []}]
    operation["responses"] = dict(sorted({**responses, **error_descriptions(path, descriptions)}.items()))
