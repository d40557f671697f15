"""The service as one ASGI app, put together from its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from dogvscat._version import __version__
from dogvscat.bundle.folder import bundle_label, bundle_version
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.photos.isolation.pool import DecoderPool
from dogvscat.service.access import HEALTH_PATHS, AccessGuard, AccessRules
from dogvscat.service.access_log import LogWriter
from dogvscat.service.admission import Admission
from dogvscat.service.api import api_routes, model_document
from dogvscat.service.documentation import DOCUMENTATION_PATHS, add_documentation
from dogvscat.service.inference import Inference
from dogvscat.service.inference_protocol import protocol_routes
from dogvscat.service.inference_schemas import InferRequest
from dogvscat.service.metrics import CONTENT_TYPE, Metrics
from dogvscat.service.middleware import RequestGuard
from dogvscat.service.openapi import describe, operation_id
from dogvscat.service.problem_details import install_error_handlers
from dogvscat.service.static import page_routes


def create_app(
    predictor: Predictor,
    decoders: DecoderPool,
    admission: Admission,
    metrics: Metrics,
    log: LogWriter,
    access: AccessRules,
) -> ASGIApp:
    """The service as an ASGI app.

    Args:
        predictor: A loaded bundle, its golden pictures already checked.
        decoders: Decode the photos.
        admission: Counts the places in the queue and the bytes of bodies.
        metrics: Counts requests, batches and predictions.
        log: Gets one line per request.
        access: What each request must fulfill.
    """
    inference = Inference(predictor, decoders, admission, metrics)
    name, version = model_name(predictor), bundle_version(predictor.bundle.digest)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with inference.running():
            yield

    # FastAPI's own documentation pages load their scripts from another server.
    app = FastAPI(
        title="dogvscat",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    app.include_router(api_routes(inference, model_document(inference, name, version)))
    app.include_router(protocol_routes(inference, name, version))
    pages = page_routes(predictor.bundle)
    app.include_router(pages)

    @app.get("/metrics", summary="Metrics in Prometheus' text format", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE)

    page_paths = {route.path for route in pages.routes if isinstance(route, APIRoute)}
    public_paths = HEALTH_PATHS | DOCUMENTATION_PATHS | page_paths
    describe(app, [InferRequest], bool(access.token_digests), public_paths)
    add_documentation(app)
    install_error_handlers(app)
    guarded: ASGIApp = AccessGuard(app, access, public_paths)
    if access.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=access.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
            expose_headers=("Retry-After",),
        )
    # Not `app.add_middleware`: FastAPI answers unexpected errors outside of that, and those must be counted as well.
    return RequestGuard(guarded, admission, metrics, log)


def model_name(predictor: Predictor) -> str:
    """The name of a bundle: that of its folder, or of its run."""
    return bundle_label(predictor.bundle.folder)
