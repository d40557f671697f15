"""What a client probably meant with a body that is not a photo: slips with curl, JSON, Base64, a photo's name or
address."""

import codecs
import re
from collections.abc import Iterator

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import PHOTO_SUFFIXES

SEND_FILE = "Send the file itself: curl --data-binary @photo.jpg, or as a form: curl -F files=@photo.jpg"

_WEB_FORM = "application/x-www-form-urlencoded"  # curl's Content-Type for every body, also with --data-binary
_BASE64_STARTS = (b"data:", b"/9j/", b"iVBORw0KGgo", b"R0lGOD", b"UklGR", b"Qk0", b"SUkq", b"TU0AK")
"""How a data URL starts, and how JPEG, PNG, GIF, WebP, BMP and TIFF start in Base64."""
_MOST_BYTES = 4096
"""At most this many bytes of a body are looked at."""


def with_hint(error: ImageError, data: bytes | bytearray, content_type: str) -> ImageError:
    """The same error, with reason and hint for the slip that explains it, if there is one.

    Args:
        error: Why the data is not a photo.
        data: What was sent as a photo.
        content_type: The Content-Type of the request; empty for a photo in a form.
    """
    if error.code not in ("empty", "unreadable", "unsupported_format", "too_large"):
        return error
    media_type = content_type.partition(";")[0].strip().lower()
    start = bytes(data[:_MOST_BYTES]).removeprefix(codecs.BOM_UTF8).strip()
    for reason, hint in _slips(media_type, start):
        return ImageError(error.path, error.code, reason, hint=hint)
    return error if data else ImageError(error.path, error.code, error.reason, hint=SEND_FILE)


def _slips(media_type: str, start: bytes) -> Iterator[tuple[str, str]]:
    """Reason and hint for each slip that fits, the best one first."""
    is_text = bool(re.fullmatch(rb"[\t\r\n\x20-\x7e]+", start))
    if start[:1] in (b"{", b"[") and (is_text or media_type == "application/json"):
        yield "is JSON, expected the bytes of a photo", SEND_FILE
    if is_text and start.startswith(_BASE64_STARTS):
        yield "is Base64 text, expected the bytes that it stands for", f"Decode it first. {SEND_FILE}"
    if is_text and re.match(rb"(https?|ftp|s3|file)://", start):
        yield "is an address, expected the bytes of a photo", f"This server opens no addresses. {SEND_FILE}"
    if is_text and start.lower().endswith(tuple(suffix.encode() for suffix in PHOTO_SUFFIXES)):
        yield "is the name of a file, expected its content", f"Put an @ before the name. {SEND_FILE}"
    if is_text and media_type == _WEB_FORM and b"=" in start:
        yield "is a form without files", "Send each photo as a file of the form: curl -F files=@photo.jpg"
    # Every photo has zero bytes or line ends within its first few hundred bytes.
    if media_type == _WEB_FORM and len(start) > 200 and not re.search(rb"[\0\r\n]", start):
        yield (
            "has lost its zero bytes and line ends, as `curl -d` and `curl --data` remove them",
            "Use --data-binary instead: curl --data-binary @photo.jpg",
        )
