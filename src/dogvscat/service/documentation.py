"""`/docs`: the OpenAPI description as a page for people. It has no scripts, and loads nothing from other servers."""

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from dogvscat.text import html_table

DOCUMENTATION_PATHS = frozenset({"/docs", "/openapi.json"})
"""They describe the interface, which is no secret."""
_METHODS = ("get", "post")
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>HTTP interface of dogvscat</title>
  <link rel="icon" href="icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="style.css">
</head>
<body>
<main class="documentation">
<h1>HTTP interface</h1>
<p>dogvscat {version}. For programs: <a href="openapi.json">openapi.json</a>. For people: <a href="./">the page</a>.</p>
{sections}
</main>
</body>
</html>
"""


def add_documentation(app: FastAPI) -> None:
    """Add the page to an app that has all its other routes."""
    document = app.openapi()
    sections = "\n".join(
        f"<section>{''.join(_section(document, f'{method.upper()} {path}', operation))}</section>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    )
    page = _PAGE.format(version=app.version, sections=re.sub("`([^`]*)`", r"<code>\1</code>", sections)).encode()

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return Response(page, media_type="text/html")


def _section(document: dict[str, Any], title: str, operation: dict[str, Any]) -> Iterator[str]:
    """The HTML of a path and method, with names of code between backticks."""
    yield f"<h2>{escape(title)}</h2><p>{escape(operation['summary'])}</p>"
    if "description" in operation:
        yield f"<p>{escape(operation['description'])}</p>"
    if media_types := operation.get("requestBody", {}).get("content"):
        yield f"<p>Body: {' or '.join(f'`{escape(name)}`' for name in media_types)}</p>"
    if parameters := operation.get("parameters"):
        rows = [(f"`{item['name']}`", item["in"], item.get("description", "")) for item in parameters]
        yield html_table(("Parameter", "Where", "Meaning"), rows)
    responses = [(status, response["description"]) for status, response in operation["responses"].items()]
    yield html_table(("Status", "Meaning"), responses)
    content = operation["responses"]["200"].get("content", {}).get("application/json", {})
    if members := list(_members(document, content.get("schema", {}), prefix="", depth=2)):
        yield html_table(("Member of the answer", "Meaning"), members)


def _members(document: dict[str, Any], schema: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    """Name and description of each member of an object, and of the members of its members."""
    for name, member in _resolve(document, schema).get("properties", {}).items():
        resolved = _resolve(document, member)
        path = f"{prefix}{name}[]" if resolved.get("type") == "array" else f"{prefix}{name}"
        yield f"`{path}`", resolved.get("description", "")
        if depth > 1:
            yield from _members(document, resolved.get("items", resolved), f"{path}.", depth - 1)


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference followed; of two alternatives, the one that is not null."""
    alternatives = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if alternatives:
        schema = {**alternatives[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    if "$ref" not in schema:
        return schema
    return {**document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], **schema}
