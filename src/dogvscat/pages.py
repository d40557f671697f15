"""Templates of the self-contained pages and documents: one Jinja environment for all, and images inside the page."""

import base64
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dogvscat.text import markdown, markdown_code, printable, printable_lines


def open_templates(*folders: Path, **filters: Callable[..., object]) -> Environment:
    """The templates of some folders, looked up in their order.

    Everything that a template shows is escaped for HTML, except in Markdown templates (`*.md.jinja`), which need the
    filters `markdown` and `code` for what strangers wrote. Control characters and marks of the direction of text are
    escaped in both kinds, whether a template uses `printable` or not. A name that a template uses but nobody passed is
    an error (`jinja2.UndefinedError`), not an empty text.

    Args:
        folders: Where templates and what they include are looked up.
        filters: Filters in addition to `printable`, `with_code`, `markdown` and `code`.
    """
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=_is_html,  # names of files and classes come from strangers
        undefined=StrictUndefined,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,  # Markup is finished already
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        printable=printable, with_code=with_code, markdown=markdown, code=markdown_code, **filters
    )
    return environment


def _is_html(template_name: str | None) -> bool:
    return template_name is None or not template_name.endswith(".md.jinja")


def with_code(text: str) -> Markup:
    """HTML that shows the parts of a text between backticks as code; everything is escaped."""
    # Backticks come in pairs, so every second part stood between two of them.
    parts = (Markup("<code>{}</code>" if i % 2 else "{}").format(part) for i, part in enumerate(text.split("`")))
    return Markup("").join(parts)


def data_uri(content: bytes, media_type: str = "image/png") -> str:
    """A file as a `data:` URI: the `src` of an image on a page that needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
