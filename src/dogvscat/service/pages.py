"""The page at `/`: three files of our own and an icon, read once; nothing comes from anywhere else."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}


def page_routes() -> APIRouter:
    """The page and what belongs to it."""
    routes = APIRouter(include_in_schema=False)
    for path, (file, media_type) in _FILES.items():
        content = files("dogvscat.service").joinpath("page", file).read_bytes()
        routes.add_api_route(f"/{path}", _serving(content, media_type), methods=["GET", "HEAD"])
    return routes


def _serving(content: bytes, media_type: str):  # type: ignore[no-untyped-def]
    headers = {"Cache-Control": "no-cache"}

    async def serve() -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return serve
