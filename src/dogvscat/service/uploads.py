"""The bodies of requests: photos in a form, or one photo as the whole body. All stays in memory, with limited size."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from dogvscat.service.problem_details import RequestError

_FORM_TYPE = b"multipart/form-data"
_FORM_HINT = "Send each photo as a file of the form: curl -F files=@photo.jpg"
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""How browsers escape the characters that would end a file name (WHATWG HTML, multipart/form-data encoding)."""


@dataclass
class Upload:
    """One photo as it was sent."""

    name: str
    data: bytes | bytearray


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. The middleware also enforces its own limits on every request.

    Raises:
        RequestError: 413 if the body has more than `max_bytes`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            message = f"the body has more than {max_bytes:,} bytes"
            raise RequestError(413, "too_large", message, hint="Send less data per request.")
    return bytes(body)


def form_boundary(request: Request) -> bytes | None:
    """The boundary between the parts of a form, or None if the body is a single photo.

    Raises:
        RequestError: 422 for a form without a boundary.
    """
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != _FORM_TYPE:
        return None
    if not options.get(b"boundary"):
        hint = "Leave the Content-Type header out: curl -F and browsers send it with the boundary."
        raise _form_error("has no boundary in its Content-Type", hint)
    return options[b"boundary"]


def form_photos(body: bytes, boundary: bytes, max_photos: int) -> list[Upload]:
    """The photos in a form, in order.

    Args:
        body: The whole form.
        boundary: From `form_boundary`.
        max_photos: How many photos the form may have.

    Raises:
        RequestError: 422 if this is not a form with photos, 413 if it has too many.
    """
    # The whole body is in memory and of limited size, so the parser gets it in one piece.
    form = _FormReader(max_photos)
    try:
        MultipartParser(boundary, form.callbacks()).write(body)  # type: ignore[arg-type]
    except FormParserError as error:
        raise _form_error(f"is malformed: {error}") from None
    if not form.complete:
        raise _form_error("ends early")
    if not form.photos:
        raise _form_error("has no photo")
    return form.photos


@dataclass
class _FormReader:
    """Collects the parser's events. The methods are named after the callbacks of python-multipart.

    Header names and values may arrive in several pieces, so they are collected until `header_end`.
    """

    max_photos: int
    photos: list[Upload] = field(default_factory=list)
    complete: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _header_name: bytes = b""
    _header_value_so_far: bytes = b""

    def callbacks(self) -> dict[str, object]:
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "end")
        return {f"on_{name}": getattr(self, f"_{name}") for name in names}

    def _part_begin(self) -> None:
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value_so_far += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value_so_far
        self._header_name = self._header_value_so_far = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" not in options:  # a text field
            hint = f"Put an @ before the name of each file, and repeat -F for each. {_FORM_HINT}"
            raise _form_error(f"has a field {_decode_text(options.get(b'name', b''))!r} that is not a file", hint)
        # Refused here, before the data of the surplus photo is copied.
        if len(self.photos) == self.max_photos:
            message = f"the form has more than {self.max_photos} photos"
            raise RequestError(413, "too_many", message, hint="Send fewer photos per request.")
        self.photos.append(Upload(_file_name(options[b"filename"]), bytearray()))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self.photos[-1].data += data[start:end]

    def _end(self) -> None:
        self.complete = True


def _file_name(raw: bytes) -> str:
    name = _decode_text(raw)
    for escape, character in _ESCAPES.items():
        name = name.replace(escape, character)
    return name


def _decode_text(raw: bytes) -> str:
    """UTF-8, as browsers send it, or Latin-1, which never fails."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _form_error(reason: str, hint: str = _FORM_HINT) -> RequestError:
    return RequestError(422, "form", f"the form {reason}", hint=hint)
