"""The page on which a person decides suspected labels; the decisions themselves are in `photos/label_review.py`."""

import hashlib
import io
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from PIL import Image
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp

from dogvscat.errors import DataError, DogvscatError, ImageError, WriteError
from dogvscat.photos.decoding.decoder import decode_for_display
from dogvscat.photos.label_review import LabelReview, StaleDecision, class_probabilities
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.relabel import Correction
from dogvscat.service.json_response import PrintableJSONResponse
from dogvscat.service.loopback import LoopbackGuard
from dogvscat.service.problem_details import RequestError, problem_response
from dogvscat.service.static import file_endpoint, read_page_file
from dogvscat.text import shell_word

_FILES = {"labels.js": "label_page", "labels.css": "label_page", "style.css": "page", "words.js": "page"}
"""Files of the page, and the folder of each; this page looks like that of `serve`."""
_TOKEN_PLACE = b"{{ token }}"
_LONGEST_SIDE = 1600  # of a photo on the page, in pixels


class Decision(BaseModel):
    """The body of a decision."""

    sha256: str
    """Of the photo that the person saw."""
    label: str


class Undo(BaseModel):
    """The body of an undo."""

    sha256: str
    """Of the photo that was decided last."""


def create_review_app(review: LabelReview, source: PhotoSource, token: str) -> ASGIApp:
    """The page and its requests as an ASGI app.

    Args:
        review: The suspects and the decisions.
        source: The photos.
        token: The secret of the page.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    index = read_page_file("label_page", "index.html").replace(_TOKEN_PLACE, token.encode())
    app.add_api_route("/", file_endpoint("index.html", index))
    for name, folder in _FILES.items():
        app.add_api_route(f"/{name}", file_endpoint(name, read_page_file(folder, name)))
    app.add_api_route("/icon.svg", file_endpoint("icon.svg", read_page_file("page", "icon.svg")))
    pictures = _Pictures(review, source)

    # Endpoints without `async` run in threads: they read photos and flush files to the disk.
    @app.get("/state")
    def state() -> Response:
        return PrintableJSONResponse(_document(review))

    @app.get("/photos/{sha256}")
    def photo(sha256: str) -> Response:
        headers = {"Cache-Control": "private, max-age=3600"}  # the digest is the name: the content cannot change
        return Response(pictures.read(sha256), media_type="image/jpeg", headers=headers)

    @app.post("/decisions")
    def decide(decision: Decision) -> Response:
        review.decide(decision.sha256, decision.label)
        return PrintableJSONResponse(_document(review))

    @app.post("/undo")
    def undo(decision: Undo) -> Response:
        review.undo(decision.sha256)
        return PrintableJSONResponse(_document(review))

    app.add_exception_handler(DogvscatError, _send_error)
    app.add_exception_handler(RequestValidationError, _send_error)
    return LoopbackGuard(app, token)


class _Pictures:
    """The suspects' photos as JPEG files for the page."""

    def __init__(self, review: LabelReview, source: PhotoSource) -> None:
        self._review = review
        self._source = source
        self._paths = {photo.path for photo in source.photos}

    def read(self, sha256: str) -> bytes:
        """A photo as JPEG: decoded as everywhere, so that the browser never reads the file of a stranger."""
        suspect = self._review.suspect(sha256)
        if suspect is None:
            raise RequestError(404, "not_found", "no suspected label belongs to this photo")
        if suspect.path not in self._paths:  # also a path that leads out of the folder
            raise RequestError(404, "not_found", "the photo is not among the photos any more")
        data = self._source.read(suspect.path)
        if hashlib.sha256(data).hexdigest() != sha256:
            message = "the photo has changed since its label was checked, so a decision would not apply to it"
            raise RequestError(409, "changed", message)
        buffer = io.BytesIO()
        pixels = decode_for_display(data, suspect.path, _LONGEST_SIDE)
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()


def _document(review: LabelReview) -> dict[str, Any]:
    """Everything that the page shows."""
    undecided, decisions = review.undecided(), review.decisions
    return {
        "class_names": review.class_names,
        "num_suspects": review.num_suspects,
        "num_decided": review.num_suspects - len(undecided),
        "counts": review.counts(),
        "photo": _photo_document(undecided[0], review) if undecided else None,
        "next_sha256": undecided[1].sha256 if len(undecided) > 1 else None,
        "last": _photo_document(decisions[-1], review) if decisions else None,
        "file": str(review.decisions_file),
        "command": f"dogvscat train PHOTOS --relabel {shell_word(review.decisions_file)}",
    }


def _photo_document(row: Correction, review: LabelReview) -> dict[str, Any]:
    return {
        "sha256": row.sha256,
        "path": row.path,
        "filed_as": row.filed_as,
        "label": row.suggestion,
        "probabilities": class_probabilities(row, review.class_names),
    }


async def _send_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        return problem_response(RequestError(422, "invalid", f"{location}: {first['msg']}"))
    if not isinstance(error, DogvscatError):
        raise error
    return problem_response(error if isinstance(error, RequestError | ImageError) else _with_status(error))


def _with_status(error: DogvscatError) -> RequestError:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return RequestError(status, error.code, error.message, hint=error.hint)


_STATUS: dict[type[DogvscatError], int] = {StaleDecision: 409, WriteError: 500, DataError: 422}
"""HTTP status of the first class that an error belongs to."""
