"""JSON answers of the service."""

from typing import Any

from starlette.responses import JSONResponse

from dogvscat.text import json_line


class PrintableJSONResponse(JSONResponse):
    """JSON that may be shown in a terminal: control characters in names of photos are JSON's own escapes."""

    def render(self, content: Any) -> bytes:
        """The body. Raises a ValueError for NaN, which JSON does not have."""
        return json_line(content, compact=True).encode()
