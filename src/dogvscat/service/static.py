"""The files of the pages: those of this package and the golden pictures of a bundle, read once. Nothing is loaded from
other servers."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from dogvscat.bundle.folder import Bundle

_PAGE_FILES = ("index.html", "style.css", "page.js", "about.js", "golden.js", "token.js", "words.js", "icon.svg")
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_routes(bundle: Bundle) -> APIRouter:
    """Routes for the page at `/`, its files, and the golden pictures of a bundle, which the page offers to try."""
    routes = APIRouter(include_in_schema=False)
    for name in _PAGE_FILES:
        path = "" if name == "index.html" else name
        routes.add_api_route(f"/{path}", file_endpoint(name, read_page_file("page", name)), methods=["GET", "HEAD"])
    for picture in bundle.card.golden:
        endpoint = _endpoint(bundle.read(picture.file), "image/png")
        routes.add_api_route(f"/{picture.file}", endpoint, methods=["GET", "HEAD"])
    return routes


def read_page_file(folder: str, name: str) -> bytes:
    """A file from one of the folders of pages in this package."""
    return files("dogvscat.service").joinpath(folder, name).read_bytes()


def file_endpoint(name: str, content: bytes) -> Callable[[], Awaitable[Response]]:
    """An endpoint that sends a file of a page; the suffix of its name decides the media type."""
    return _endpoint(content, _MEDIA_TYPES[Path(name).suffix])


def _endpoint(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    # Browsers ask again each time, so that a new version of the page is seen at once.
    headers = {"Cache-Control": "no-cache"}

    async def send_file() -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return send_file
