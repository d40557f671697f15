"""The glossary, and the words that pages explain with it."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dogvscat.glossary.page import MARK, explain_words
from dogvscat.glossary.terms import find_terms, terms

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "src" / "dogvscat"
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>One epoch</title><style>loss {{}}</style></head>
<body><main><h1>A batch</h1>
<p class="verdict">The logit</p>
<p>The log loss of <strong>an epoch</strong>; its loss, and <code>--dropout</code>, and the log
loss again. A filtering layer-like channel of network.dropout.</p>
<table><tr><td><p>Seeds</p></td></tr></table>
{MARK}<footer>No network.</footer>
</main></body></html>"""


def explained_in(html: str) -> list[str]:
    return re.findall(r'id="word-([^"]*)"', html)


def linked_in(html: str) -> list[tuple[str, str]]:
    return re.findall(r'<a class="word" href="#word-([^"]*)">([^<]*)</a>', html)


def mentioned_in(text: str) -> list[str]:
    return [term.name for _, term in find_terms(text)]


def test_there_are_sixty_terms_in_alphabetical_order() -> None:
    names = [term.name for term in terms()]
    assert len(names) >= 60
    assert names == sorted(names, key=str.lower)
    assert len({term.anchor for term in terms()}) == len(names)


def test_each_term_is_explained_in_one_to_three_sentences() -> None:
    for term in terms():
        sentences = re.findall(r"[.?](?= [A-Z]|$)", term.text)
        assert 1 <= len(sentences) <= 3, term.name
        assert term.see.endswith(".") or not term.see, term.name
        assert re.search(r", \d{4}$", term.source) or not term.source, term.name


def test_each_spelling_belongs_to_one_term() -> None:
    spellings = [form.lower() for term in terms() for form in term.forms]
    assert len(spellings) == len(set(spellings))
    for term in terms():
        for form in term.forms:
            assert mentioned_in(f"({form.upper()},") == [term.name]


def test_the_longest_term_is_found_and_parts_of_words_are_not() -> None:
    assert mentioned_in("Log\n loss and loss: learning rates.") == ["log loss", "loss", "learning rate"]
    assert mentioned_in("lossless layer-like epoch_count network.dropout max-pool") == []


def test_glossary_md_is_written_from_the_terms() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert page == runpy.run_path(str(ROOT / "docs" / "write_glossary.py"))["write_glossary"](), "make docs"


def test_every_link_to_the_glossary_leads_to_a_term() -> None:
    titles = re.findall(r"^## (.*)$", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}  # as GitHub makes them of headings
    assert anchors == {term.anchor for term in terms()}
    documents = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]}
    links = {path: re.findall(r"glossary\.md#([^)]*)\)", text) for path, text in documents.items()}
    assert anchors.issuperset(re.findall(r"\]\(#([^)]*)\)", documents[ROOT / "docs" / "glossary.md"]))
    assert {path.name: set(found) - anchors for path, found in links.items() if set(found) - anchors} == {}
    for name in ("README.md", "docs/use.md", "docs/explore.md", "docs/network.md", "docs/results.md"):
        assert "glossary.md" in documents[ROOT / name], name


def test_a_page_explains_the_terms_it_uses_and_links_their_first_mention() -> None:
    page = explain_words(PAGE)
    assert explained_in(page) == ["batch", "channel", "epoch", "log-loss", "logit", "loss", "seed"]
    assert linked_in(page) == [("log-loss", "log loss"), ("epoch", "epoch"), ("loss", "loss"), ("channel", "channel")]
    # Apart from the links and the section, nothing is changed.
    section = re.compile(r'<details class="words">.*</details>', re.DOTALL)
    assert re.sub(r'<a class="word"[^>]*>([^<]*)</a>', r"\1", section.sub(MARK, page)) == PAGE


def test_a_page_with_controls_explains_its_terms_without_links() -> None:
    page = explain_words(PAGE, with_links=False)
    assert (explained_in(page), linked_in(page)) == (explained_in(explain_words(PAGE)), [])


def test_text_that_is_added_later_is_explained_too() -> None:
    assert explained_in(explain_words(f"<p>Nothing</p>{MARK}", "one sigmoid")) == ["sigmoid"]


def test_a_page_without_terms_has_no_section() -> None:
    assert explain_words(f"<p>A cat.</p>{MARK}") == "<p>A cat.</p>"


@pytest.mark.parametrize(
    "page",
    [
        "judging/report.html.jinja",
        "exploring/study/study.html.jinja",
        "exploring/comparison/comparison.html.jinja",
        "bundle/visualization/page/index.html.jinja",
        "learning/monitor/page/index.html",
    ],
)
def test_the_pages_have_a_place_for_their_words(page: str) -> None:
    assert (SOURCES / page).read_text(encoding="utf-8").count(MARK) == 1


def test_a_link_opens_the_section_and_axe_finds_nothing(chromium: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("selenium")
    from axe_core_python.selenium import Axe

    styles = (SOURCES / "judging" / "report.css").read_text(encoding="utf-8")
    file = tmp_path / "page.html"
    file.write_text(explain_words(PAGE.replace("<style>loss {}", f"<style>{styles}")), encoding="utf-8")
    browser = chromium()
    for width in (1200, 390):
        browser.set_window_size(width, 900)
        browser.get(file.as_uri())
        section = browser.find_element("css selector", "details.words")
        assert section.get_attribute("open") is None
        browser.find_element("css selector", "a.word[href='#word-epoch']").click()
        assert section.get_attribute("open") is not None
        assert browser.find_element("id", "word-epoch").is_displayed()
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        violations = Axe().run(browser)["violations"]
        assert [(row["id"], row["nodes"][0]["html"]) for row in violations] == []
