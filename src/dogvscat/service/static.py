"""The page at `/`: a few files of our own, read once; nothing comes from anywhere else."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "how.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def page_routes() -> APIRouter:
    """The page and what belongs to it."""
    routes = APIRouter(include_in_schema=False)
    for file, media_type in _FILES.items():
        content = files("dogvscat.service").joinpath("page", file).read_bytes()
        path = "" if file == "index.html" else file
        routes.add_api_route(f"/{path}", _serving(content, media_type), methods=["GET", "HEAD"])
    return routes


def _serving(content: bytes, media_type: str):  # type: ignore[no-untyped-def]
    headers = {"Cache-Control": "no-cache"}

    async def serve() -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return serve
