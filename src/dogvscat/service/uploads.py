"""What a request brings: pictures in a form, or one as the whole body. All is counted, and nothing touches a disk."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from dogvscat.service.problem_details import RequestError

_FORM = b"multipart/form-data"
_FORM_HINT = "Send each picture as a file of the form: curl -F files=@photo.jpg"
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""What browsers write for the characters that would end a file name (WHATWG HTML, multipart form data)."""


@dataclass
class Upload:
    """One picture as it came."""

    name: str
    data: bytes | bytearray


async def read_body(request: Request, most: int) -> bytes:
    """The whole body; it is also held to the limits that hold for every request.

    Raises:
        RequestError: 413 if it has more than `most` bytes.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise RequestError(413, "too_large", f"the body has more than {most:,} bytes", hint="Send less at once.")
    return bytes(body)


def form_boundary(request: Request) -> bytes | None:
    """What separates the parts of a form, or None where the body is one picture.

    Raises:
        RequestError: 422 for a form without a boundary.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != _FORM:
        return None
    if not options.get(b"boundary"):
        raise _wrong_form("names no boundary in Content-Type")
    return options[b"boundary"]


def form_pictures(body: bytes, boundary: bytes, most: int) -> list[Upload]:
    """The pictures in a form, in order.

    Args:
        body: The whole form.
        boundary: From `form_boundary`.
        most: How many there may be.

    Raises:
        RequestError: 422 if this is no form with pictures, 413 if there are too many.
    """
    form = _Form(most)
    try:
        MultipartParser(boundary, form.callbacks()).write(body)  # type: ignore[arg-type]
    except FormParserError as error:
        raise _wrong_form(f"is malformed: {error}") from None
    if not form.complete:
        raise _wrong_form("ends early")
    if not form.pictures:
        raise _wrong_form("holds no picture")
    return form.pictures


@dataclass
class _Form:
    """Takes the parser's events; names and values are those of python-multipart."""

    most: int
    pictures: list[Upload] = field(default_factory=list)
    complete: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _field: bytes = b""
    _value: bytes = b""

    def callbacks(self) -> dict[str, object]:
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "end")
        return {f"on_{name}": getattr(self, f"_{name}") for name in names}

    def _part_begin(self) -> None:
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" not in options:
            raise _wrong_form(f"has a field {_text(options.get(b'name', b''))!r} that is no file")
        if len(self.pictures) == self.most:
            raise RequestError(413, "too_many", f"the form holds more than {self.most} pictures", hint="Send fewer.")
        self.pictures.append(Upload(_file_name(options[b"filename"]), bytearray()))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self.pictures[-1].data += data[start:end]

    def _end(self) -> None:
        self.complete = True


def _file_name(written: bytes) -> str:
    name = _text(written)
    for escape, character in _ESCAPES.items():
        name = name.replace(escape, character)
    return name


def _text(written: bytes) -> str:
    try:
        return written.decode()
    except UnicodeDecodeError:
        return written.decode("latin-1")


def _wrong_form(reason: str) -> RequestError:
    return RequestError(422, "form", f"the form {reason}", hint=_FORM_HINT)
