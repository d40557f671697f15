"""What a command and its decoder processes send each other through pipes: a header in JSON, then bytes.

Neither side executes what it receives: there is no pickle, so a decoder that a hostile photo has taken over can only
send wrong pixels.
"""

import json
import struct
from typing import Any, BinaryIO, NamedTuple

from dogvscat.errors import ImageError

_LENGTHS = struct.Struct(">IQ")
_MAX_HEADER_BYTES = 100_000


class Message(NamedTuple):
    """A request or a reply."""

    header: dict[str, Any]
    content: bytes
    """The file of a request, the pixels of a reply."""


def send(pipe: BinaryIO, header: dict[str, Any], content: bytes = b"") -> None:
    """Write a message. Raises an OSError if nobody reads any more."""
    encoded = json.dumps(header).encode()
    pipe.write(_LENGTHS.pack(len(encoded), len(content)) + encoded)
    pipe.write(content)
    pipe.flush()


def receive(pipe: BinaryIO, max_bytes: int) -> Message | None:
    """The next message; None if the other side has ended, or sends more than `max_bytes`."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, content_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > _MAX_HEADER_BYTES or content_bytes > max_bytes:
        return None
    encoded, content = pipe.read(header_bytes), pipe.read(content_bytes)
    if len(encoded) < header_bytes or len(content) < content_bytes:
        return None
    header = json.loads(encoded)
    return Message(header, content) if isinstance(header, dict) else None


def error_header(error: ImageError) -> dict[str, Any]:
    """The header of a reply about a photo that cannot be used; `is_last` if the process ends, for lack of memory."""
    fields = {"code": error.code, "reason": error.reason, "hint": error.hint}
    return {"error": fields, "is_last": isinstance(error.__cause__, MemoryError)}


def error_of(header: dict[str, Any], path: str) -> ImageError | None:
    """The error in the header of a reply; None if there is none."""
    if not isinstance(fields := header.get("error"), dict):
        return None
    return ImageError(path, str(fields["code"]), str(fields["reason"]), hint=fields["hint"])
