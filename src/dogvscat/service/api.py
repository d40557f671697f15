"""`/api/v1`: pictures in, answers out, and what the model says about itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from dogvscat.errors import ImageError
from dogvscat.photos.decoder import FORMATS, MAX_PIXELS
from dogvscat.service.inference import Answer, Answering, data_url
from dogvscat.service.problem_details import problem_response
from dogvscat.service.uploads import Upload, form_boundary, form_pictures, read_body


class PictureError(BaseModel):
    """Why a picture has no answer."""

    code: str
    """`empty`, `unreadable`, `unsupported_format` or `too_large`."""
    message: str
    hint: str | None = None


class PictureAnswer(BaseModel):
    """The answer for one picture, or why it has none."""

    name: str
    """As it was sent."""
    label: str | None = None
    """A class name, or `unsure`."""
    probabilities: dict[str, float] | None = None
    """By class name; they add up to 1."""
    neither: float | None = None
    """How much the picture seems to show neither class, or null where the network does not tell."""
    heat_map: str | None = None
    """With `explain`: a data URL of a PNG to lay over the photo, stretched to its size. Coloured where the evidence for
    the answer lies."""
    error: PictureError | None = None


class Asking(BaseModel):
    """What may stand in the query; anything else is refused, lest a misspelt word go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    explain: bool = Field(False, description="Add a heat-map to each answer.")
    name: str = Field("picture", description="What to call the picture, where it is the whole body.")


class Predictions(BaseModel):
    """The answers for a request's pictures, in order."""

    predictions: list[PictureAnswer]


class Problem(BaseModel):
    """An error, as RFC 9457 has it; `code` is a word for programs, `hint` says what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None
    name: str | None = None


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
    for status, description in {
        400: "The picture is damaged or empty.",
        408: "The body came too slowly.",
        413: "The body or the picture is too large.",
        415: "It is not a picture of an accepted format.",
        422: "The form or the query is not as it should be.",
        429: "The queue is full; Retry-After says when to try again.",
        503: "There was no answer in time, or the server is stopping; Retry-After says when to try again.",
    }.items()
}
_PICTURE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"files": {"type": "array", "items": _PICTURE}}, "required": ["files"]}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": _FORM}, "image/*": {"schema": _PICTURE}},
    }
}


def api_routes(answering: Answering, model: dict[str, Any]) -> APIRouter:
    """Everything under `/api/v1`.

    Args:
        answering: What answers.
        model: What the model says about itself, JSON.
    """
    routes = APIRouter(prefix="/api/v1", tags=["dogvscat"])
    limits = answering.admission.limits

    @routes.post(
        "/predict",
        summary="What is on these pictures?",
        responses={200: {"model": Predictions}, **_PROBLEMS},
        openapi_extra=_BODY,
    )
    async def predict(request: Request, asking: Annotated[Asking, Query()]) -> Response:
        """One picture as the body, or one or many as files of a form. The content decides what it is, not its type or
        name. Of many, a bad one has its error in its place; a single bad one is answered with its error."""
        answering.admission.check()
        boundary = form_boundary(request)
        body = await read_body(request, limits.body_bytes)
        if boundary is None:
            pictures = [Upload(asking.name, body)]
        else:
            pictures = await answering.in_thread(form_pictures, body, boundary, limits.pictures)
        del body
        answers = await answering.uploads(pictures, asking.explain)
        if len(answers) == 1 and isinstance(answers[0], ImageError):
            return problem_response(answers[0], pictures[0].name)
        rows = [_row(picture.name, answer) for picture, answer in zip(pictures, answers, strict=True)]
        return JSONResponse({"predictions": rows})

    @routes.get("/model", summary="What the model says about itself")
    async def describe() -> Response:
        return JSONResponse(model)

    return routes


def model_document(answering: Answering, name: str, version: str) -> dict[str, Any]:
    """What `GET /api/v1/model` says: the card's figures, and the limits of this service."""
    card, limits = answering.predictor.card, answering.admission.limits
    described = {
        "class_names",
        "positive_class",
        "image_size",
        "threshold",
        "unsure_low",
        "unsure_high",
        "neither_limit",
    }
    return {
        "name": name,
        "version": version,
        "recipe": card.config.recipe,
        **card.model_dump(mode="json", include={*described, "origin", "metrics", "known_failures"}),
        "limits": {
            "body_bytes": limits.body_bytes,
            "pictures": limits.pictures,
            "pixels": MAX_PIXELS,
            "formats": list(FORMATS),
        },
    }


def _row(name: str, answer: Answer | ImageError) -> dict[str, Any]:
    if isinstance(answer, ImageError):
        return {"name": name, "error": {"code": answer.code, "message": answer.reason, "hint": answer.hint}}
    prediction = answer.prediction
    heat_map = {} if answer.heat_map is None else {"heat_map": data_url(answer.heat_map)}
    return {
        "name": name,
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "neither": prediction.neither,
        **heat_map,
    }
