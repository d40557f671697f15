"""Errors as HTTP responses: every error raised by the app becomes problem+json (RFC 9457) with a status here."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dogvscat.errors import DogvscatError, ImageError
from dogvscat.service.json_response import PrintableJSONResponse

CLIENT_CLOSED_REQUEST = 499
"""Not in any RFC; nginx logs it when a client has left before the answer. Nobody receives it."""

_IMAGE_STATUS = {"too_large": 413, "unsupported_format": 415}
"""HTTP status by code of an ImageError; all other codes are 400."""


class RequestError(DogvscatError):
    """A request that is refused.

    Args:
        status: HTTP status.
        code: A short name for programs.
        message: What was wrong, what was expected, what was received.
        hint: What to do about it, or None.
        retry_seconds: When to try again, or None where that would not help.
    """

    def __init__(
        self, status: int, code: str, message: str, *, hint: str | None = None, retry_seconds: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry_seconds = retry_seconds


def status_of(error: DogvscatError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RequestError):
        return error.status
    return _IMAGE_STATUS.get(error.code, 400) if isinstance(error, ImageError) else 500


def problem_response(error: DogvscatError, name: str | None = None) -> Response:
    """An error as problem+json; `name` is that of the photo, for an error about a single photo."""
    status = status_of(error)
    message = error.reason if isinstance(error, ImageError) else error.message
    optional = {"name": name, "hint": error.hint}
    document = {
        "type": "about:blank",  # RFC 9457: the title is that of the HTTP status
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": error.code,
        **{key: value for key, value in optional.items() if value is not None},
    }
    return PrintableJSONResponse(document, status, headers=_headers(error), media_type="application/problem+json")


def protocol_response(error: DogvscatError) -> Response:
    """An error in the form of the Open Inference Protocol."""
    return PrintableJSONResponse({"error": error.message}, status_of(error), headers=_headers(error))


def error_response(path: str, error: DogvscatError) -> Response:
    """An error in the form that belongs to a path of a request."""
    if path.startswith("/v2"):
        return protocol_response(error)
    return problem_response(error, error.path if isinstance(error, ImageError) else None)


def _headers(error: DogvscatError) -> dict[str, str]:
    seconds = error.retry_seconds if isinstance(error, RequestError) else None
    challenge = {"WWW-Authenticate": "Bearer"} if status_of(error) == 401 else {}
    return challenge if seconds is None else {**challenge, "Retry-After": str(seconds)}


async def _handle_dogvscat_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, DogvscatError) or status_of(error) == 500:
        raise error  # not the client's business: `_handle_unexpected` answers, and the log gets the traceback
    return error_response(request.url.path, error)


async def _handle_invalid_query(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    location = ".".join(map(str, first["loc"]))
    return error_response(request.url.path, RequestError(422, "invalid", f"{location}: {first['msg']}"))


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """404 and 405, from the routing."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    hint = None
    if status in (404, 405):
        hint = "POST photos to /api/v1/predict. GET /openapi.json lists every path and method."
    message = f"{request.method} {request.url.path}: {HTTPStatus(status).phrase.lower()}"
    response = error_response(
        request.url.path, RequestError(status, HTTPStatus(status).name.lower(), message, hint=hint)
    )
    response.headers.update(getattr(error, "headers", None) or {})  # such as Allow
    return response


async def _handle_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _handle_unexpected(request: Request, _error: Exception) -> Response:  # the traceback goes to the log
    message = "this server failed; its log has the details"
    return error_response(request.url.path, RequestError(500, "failed", message))


def install_error_handlers(app: FastAPI) -> None:
    """Let the functions above answer every error of this app."""
    # Starlette takes the handler of the most specific class.
    app.add_exception_handler(DogvscatError, _handle_dogvscat_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_query)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(ClientDisconnect, _handle_disconnect)
    app.add_exception_handler(Exception, _handle_unexpected)
