"""The page at `/`: a few files of this package and the golden pictures of the bundle, read once. Nothing is loaded from
other servers."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from dogvscat.bundle.folder import Bundle

_MEDIA_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "about.js": "text/javascript; charset=utf-8",
    "golden.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def page_routes(bundle: Bundle) -> APIRouter:
    """Routes for the page, its files, and the golden pictures of a bundle, which the page offers to try."""
    routes = APIRouter(include_in_schema=False)
    for name, media_type in _MEDIA_TYPES.items():
        content = files("dogvscat.service").joinpath("page", name).read_bytes()
        path = "" if name == "index.html" else name
        routes.add_api_route(f"/{path}", _file_endpoint(content, media_type), methods=["GET", "HEAD"])
    for picture in bundle.card.golden:
        endpoint = _file_endpoint(bundle.read(picture.file), "image/png")
        routes.add_api_route(f"/{picture.file}", endpoint, methods=["GET", "HEAD"])
    return routes


def _file_endpoint(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    # Browsers ask again each time, so that a new version of the page is seen at once.
    headers = {"Cache-Control": "no-cache"}

    async def send_file() -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return send_file
