"""Templates of pages: what is undefined is refused, what is shown is escaped."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from dogvscat.pages import data_uri, open_templates, with_code


def render(folder: Path, text: str, file: str = "page.html.jinja", **variables: object) -> str:
    (folder / file).write_text(text)
    return open_templates(folder).get_template(file).render(variables)


def test_a_template_with_an_undefined_name_is_refused(tmp_path: Path) -> None:
    assert render(tmp_path, "{{ title }}", title="Audit") == "Audit"
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        render(tmp_path, "{{ title }}")
    with pytest.raises(UndefinedError, match="no attribute 'location'"):
        render(tmp_path, "{{ audit.location }}", audit=object())


def test_html_is_escaped_and_markdown_is_not(tmp_path: Path) -> None:
    assert render(tmp_path, "{{ name }}", name="<b>") == "&lt;b&gt;"
    assert render(tmp_path, "{{ name }}", "card.md.jinja", name="<b>") == "<b>"


def test_control_characters_never_reach_a_page(tmp_path: Path) -> None:
    """Whether the template says `printable` or not; line ends of longer texts stay."""
    assert render(tmp_path, "{{ name }}", name="a\x1b\u202e<b>\nc") == "a\\x1b\\u202e&lt;b&gt;\nc"
    assert render(tmp_path, "{{ name }}", "card.md.jinja", name="a\x1b\u202e") == "a\\x1b\\u202e"
    assert render(tmp_path, "{{ n }} {{ name | with_code }}", n=3, name="`a`\u202e") == "3 <code>a</code>\u202e"


def test_code_between_backticks_is_marked_and_escaped() -> None:
    assert with_code("try `--set a=<1>` & more") == "try <code>--set a=&lt;1&gt;</code> &amp; more"


def test_an_image_is_held_by_its_address() -> None:
    assert data_uri(b"abc") == "data:image/png;base64,YWJj"
    assert data_uri(b"abc", "image/jpeg") == "data:image/jpeg;base64,YWJj"
