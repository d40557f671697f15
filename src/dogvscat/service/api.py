"""`/api/v1`: predictions for photos, and the description of the model."""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import FORMATS, MAX_JPEG_PIXELS, MAX_PIXELS
from dogvscat.service.inference import Answer, Inference
from dogvscat.service.json_response import PrintableJSONResponse
from dogvscat.service.mistakes import with_hint
from dogvscat.service.openapi import error_descriptions
from dogvscat.service.problem_details import problem_response
from dogvscat.service.uploads import Upload, form_boundary, form_photos, read_body


class PictureError(BaseModel):
    """Why a photo has no prediction."""

    code: str = Field(description="`empty`, `unreadable`, `unsupported_format` or `too_large`.")
    message: str
    hint: str | None = None


class PictureAnswer(BaseModel):
    """The prediction for one photo, or the reason why it has none."""

    name: str = Field(description="The name that was sent with the photo.")
    label: str | None = Field(None, description="A class name, or `unsure`.")
    reason: str | None = Field(
        None,
        description="Why the label is `unsure`: `close`, too near one half; `neither`, the photo seems to show neither "
        "class; `at_chance`, the network is no better than guessing. null if the label is a class name.",
    )
    probabilities: dict[str, float] | None = Field(
        None, description="Calibrated probability by class name; the two add up to 1."
    )
    neither: float | None = Field(
        None,
        description="How probable it is that the photo shows neither class, or null if the network has no such output.",
    )
    heat_map: str | None = Field(
        None,
        description="With `explain=true`: a PNG as a data URL, to be stretched to the size of the photo and laid over "
        "it. It is colored where the evidence for the prediction lies.",
    )
    error: PictureError | None = None


class PredictQuery(BaseModel):
    """The query parameters of `/predict`. Others are refused, so that a misspelled name does not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    explain: bool = Field(False, description="Add a heat map to each prediction.")
    name: str = Field("picture", description="The name of the photo, if the photo is the whole body.")


class AnsweringModel(BaseModel):
    """The model that made the predictions, as `/model` describes it."""

    name: str
    version: str = Field(description="The first digits of the digest of all files of the model.")
    id: str = Field(description="Name and version, such as `best@3f9c2ab81d04`, as in results of the command line.")


class Predictions(BaseModel):
    """The predictions for the photos of a request, in order."""

    model: AnsweringModel
    predictions: list[PictureAnswer]


_ERRORS = {
    400: "The photo is damaged or empty.",
    408: "The body arrived too slowly.",
    413: "The body or the photo is too large, or there are too many photos.",
    415: "The photo is not in an accepted format.",
    422: "The form or the query is malformed.",
    429: "An answer would come too late, or this client sends too many requests. Retry-After has the seconds to wait.",
    503: "There was no answer within the deadline, or the server is stopping. Retry-After has the seconds to wait.",
}
_PHOTO = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"files": {"type": "array", "items": _PHOTO}}, "required": ["files"]}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": _FORM}, "application/octet-stream": {"schema": _PHOTO}},
    }
}


def api_routes(inference: Inference, model: dict[str, Any]) -> APIRouter:
    """All routes under `/api/v1`.

    Args:
        inference: Answers the photos.
        model: The description of the model, from `model_document`.
    """
    routes = APIRouter(prefix="/api/v1", tags=["dogvscat"])
    limits = inference.admission.limits
    answering_model = {key: model[key] for key in ("name", "version", "id")}

    @routes.post(
        "/predict",
        summary="Predict what photos show",
        responses={200: {"model": Predictions}, **error_descriptions("/api/v1/predict", _ERRORS)},
        openapi_extra=_BODY,
    )
    async def predict(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
        """Send one photo as the body, or several as files of a form. The format is recognized by the content; the media
        type and the file name do not matter. In a form with several photos, a bad photo has its error in place of its
        prediction; a bad photo that is the whole body gets an error response."""
        inference.admission.check()  # before the body is read, so that refusing costs almost nothing
        boundary = form_boundary(request)
        body = await read_body(request, limits.body_bytes)
        if boundary is None:  # whatever the Content-Type: the decoder recognizes photos by their content
            uploads = [Upload(query.name, body)]
        else:
            uploads = await inference.in_thread(form_photos, body, boundary, limits.photos)
        del body  # the uploads hold copies: free the form's memory before the wait in the queue
        content_type = request.headers.get("content-type", "") if boundary is None else ""
        answers = [
            with_hint(answer, upload.data, content_type) if isinstance(answer, ImageError) else answer
            for upload, answer in zip(uploads, await inference.answer_uploads(uploads, query.explain), strict=True)
        ]
        # One bad photo among several must not hide the answers of the others. Only a single photo gets an error status.
        if len(answers) == 1 and isinstance(answers[0], ImageError):
            return problem_response(answers[0], uploads[0].name)
        rows = [_answer_to_json(upload.name, answer) for upload, answer in zip(uploads, answers, strict=True)]
        return PrintableJSONResponse({"model": answering_model, "predictions": rows})

    description = "Parts of the model card, and the limits of this service."
    described = {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}

    @routes.get(
        "/model",
        summary="Describe the model: its classes, thresholds and metrics",
        operation_id="model",
        responses={200: described},
    )
    async def describe() -> Response:
        return PrintableJSONResponse(model)

    return routes


def model_document(inference: Inference, name: str, version: str) -> dict[str, Any]:
    """The JSON of `GET /api/v1/model`: parts of the model card, and the limits of this service."""
    card, limits = inference.predictor.card, inference.admission.limits
    # What a client needs to interpret the predictions; the settings of the training are left out.
    card_keys = {
        "class_names",
        "positive_class",
        "image_size",
        "threshold",
        "unsure_low",
        "unsure_high",
        "neither_limit",
        "origin",
        "metrics",
        "known_failures",
    }
    return {
        "name": name,
        "version": version,
        "id": inference.predictor.name,
        "recipe": card.config.recipe,
        **card.model_dump(mode="json", include=card_keys),
        "at_chance": card.decision().at_chance,
        "warnings": card.warnings,
        "golden": [picture.file for picture in card.golden],
        "limits": {
            "body_bytes": limits.body_bytes,
            "pictures": limits.photos,
            "pixels": MAX_PIXELS,
            "jpeg_pixels": MAX_JPEG_PIXELS,
            "formats": list(FORMATS),
        },
    }


def _answer_to_json(name: str, answer: Answer | ImageError) -> dict[str, Any]:
    if isinstance(answer, ImageError):
        return {"name": name, "error": {"code": answer.code, "message": answer.reason, "hint": answer.hint}}
    prediction = answer.prediction
    heat_map = {} if answer.heat_map is None else {"heat_map": _data_url(answer.heat_map)}
    return {
        "name": name,
        "label": prediction.label,
        "reason": prediction.reason,
        "probabilities": prediction.probabilities,
        "neither": prediction.neither,
        **heat_map,
    }


def _data_url(png: bytes) -> str:
    # Not `pages.data_uri`: that file imports Jinja, which the light installation does not have.
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
