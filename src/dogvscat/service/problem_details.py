"""Errors as HTTP: one boundary, where everything raised below becomes problem+json (RFC 9457) with a status."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dogvscat.errors import DogvscatError, ImageError

CLIENT_GONE = 499
"""Not in any RFC; what nginx logs where a client went away before it was answered. Nobody receives it."""

_IMAGE_STATUS = {"too_large": 413, "unsupported_format": 415}
"""Of the codes of an ImageError; all others are 400."""


class RequestError(DogvscatError):
    """A request is not answered.

    Args:
        status: HTTP status.
        code: A word for programs.
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
    """An error as problem+json; about a picture if it has a `name`."""
    status = status_of(error)
    message = error.reason if isinstance(error, ImageError) else error.message
    members = {"name": name, "hint": error.hint}
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": error.code,
        **{key: value for key, value in members.items() if value is not None},
    }
    return JSONResponse(document, status, headers=_headers(error), media_type="application/problem+json")


def protocol_response(error: DogvscatError) -> Response:
    """An error as the Open Inference Protocol wants it."""
    return JSONResponse({"error": error.message}, status_of(error), headers=_headers(error))


def _headers(error: DogvscatError) -> dict[str, str]:
    seconds = error.retry_seconds if isinstance(error, RequestError) else None
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _response(request: Request, error: DogvscatError) -> Response:
    if request.url.path.startswith("/v2"):
        return protocol_response(error)
    return problem_response(error, error.path if isinstance(error, ImageError) else None)


async def _known(request: Request, error: Exception) -> Response:
    if not isinstance(error, DogvscatError) or status_of(error) == 500:
        raise error  # nothing a client can know of: `_unforeseen` answers, and the log gets the traceback
    return _response(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(map(str, first["loc"]))
    return _response(request, RequestError(422, "invalid", f"{where}: {first['msg']}"))


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    hint = "GET /openapi.json describes everything there is." if status in (404, 405) else None
    message = f"{request.method} {request.url.path}: {HTTPStatus(status).phrase.lower()}"
    response = _response(request, RequestError(status, HTTPStatus(status).name.lower(), message, hint=hint))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _unforeseen(request: Request, _error: Exception) -> Response:  # its traceback goes to the log
    message = "this server failed; its log says how"
    return _response(request, RequestError(500, "failed", message))


def install_boundary(app: FastAPI) -> None:
    """Have every error of this app answered here."""
    app.add_exception_handler(DogvscatError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unforeseen)
