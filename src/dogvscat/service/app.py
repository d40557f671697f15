"""The service as one app: how its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp

from dogvscat._version import __version__
from dogvscat.bundle.folder import RUN_BUNDLE
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.service.access_log import LogWriter
from dogvscat.service.admission import Admission
from dogvscat.service.api import api_routes, model_document
from dogvscat.service.inference import Answering
from dogvscat.service.inference_protocol import protocol_routes
from dogvscat.service.metrics import CONTENT_TYPE, Metrics
from dogvscat.service.middleware import Edge
from dogvscat.service.problem_details import install_boundary
from dogvscat.service.static import page_routes


def create_app(predictor: Predictor, admission: Admission, metrics: Metrics, log: LogWriter) -> ASGIApp:
    """An ASGI app that answers with this bundle.

    Args:
        predictor: Loaded, its golden pictures checked.
        admission: Who may come in.
        metrics: What is counted.
        log: Gets a line a request.
    """
    answering = Answering(predictor, admission, metrics)
    name, version = model_name(predictor), predictor.bundle.digest[:12]

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with answering.running():
            yield

    # No documentation pages: FastAPI's load their scripts from elsewhere. /openapi.json is there for every client.
    app = FastAPI(
        title="dogvscat", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.include_router(api_routes(answering, model_document(answering, name, version)))
    app.include_router(protocol_routes(answering, name, version))
    app.include_router(page_routes())

    @app.get("/metrics", summary="What is counted, as Prometheus text")
    async def prometheus() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE)

    install_boundary(app)
    return Edge(app, admission, metrics, log)  # not add_middleware: FastAPI answers what nobody foresaw further out


def model_name(predictor: Predictor) -> str:
    """What a bundle is called: its folder's name, or its run's."""
    folder = predictor.bundle.folder.resolve()
    return folder.parent.name if folder.name == RUN_BUNDLE else folder.name
