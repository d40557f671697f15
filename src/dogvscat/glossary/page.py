"""The words of a page, explained on the page itself: pages are read without a network."""

import re
from pathlib import Path

from dogvscat.glossary.terms import Term, find_terms, terms
from dogvscat.pages import open_templates

MARK = "<!-- words -->"
"""Where a page wants its words explained."""

_TAG = re.compile(r"(<!--.*?-->|<[^>]*>)", re.DOTALL)
_TAG_NAME = re.compile(r"</?(\w+)")
_WITHOUT_END = {"br", "hr", "img", "input", "link", "meta"}
_UNREAD = {"code", "footer", "head", "noscript", "pre", "script"}
"""Elements whose words are not explained: they are commands, names of files, or not about networks."""
_LINKING = {"figcaption", "p"}
_NEVER_LINKING = {"a", "button", "summary", "td"}
_VERDICT = "verdict"
"""The class of a page's headline, which is large enough without links."""


def explain_words(html: str, later_text: str = "", *, with_links: bool = True) -> str:
    """The page with a section that explains the terms it uses, in place of `MARK`.

    The first mention of a term in running text can become a link to its explanation. The section is closed at first;
    a browser opens it when such a link is followed, without a script.

    Args:
        html: The whole page. Each element that must have an end tag has one, and no attribute has a `>`.
        later_text: More text that the page will show, for example that of its scripts. Its terms are explained, too.
        with_links: Whether mentions become links. On a page with controls, the Tab key would have to pass them all.
    """
    used = {term.name for _, term in find_terms(later_text)}
    linked: set[str] = set()
    open_elements: list[str] = []
    parts = _TAG.split(html)  # texts at even places, tags between them
    for index, part in enumerate(parts):
        if index % 2:
            _follow_tag(part, open_elements)
        elif part.strip() and not _UNREAD.intersection(open_elements):
            used.update(term.name for _, term in find_terms(part))
            if with_links and _may_link(open_elements):
                parts[index] = _link_terms(part, linked)
    return "".join(parts).replace(MARK, _section([term for term in terms() if term.name in used]))


def _follow_tag(tag: str, open_elements: list[str]) -> None:
    match = _TAG_NAME.match(tag)
    if match is None or match[1] in _WITHOUT_END:  # also comments, and the declaration of the document's type
        return
    if tag.startswith("</"):
        open_elements.pop()
    else:
        open_elements.append(_VERDICT if f'class="{_VERDICT}"' in tag else match[1])


def _may_link(open_elements: list[str]) -> bool:
    return bool(_LINKING.intersection(open_elements)) and not _NEVER_LINKING.intersection(open_elements)


def _link_terms(text: str, linked: set[str]) -> str:
    """The text with a link at the first mention of each term that has none yet."""
    parts, end = [], 0
    for match, term in find_terms(text):
        if term.name not in linked:
            linked.add(term.name)
            parts += [text[end : match.start()], f'<a class="word" href="#word-{term.anchor}">{match[0]}</a>']
            end = match.end()
    return "".join([*parts, text[end:]])


def _section(used: list[Term]) -> str:
    if not used:
        return ""
    return open_templates(Path(__file__).parent).get_template("words.html.jinja").render(terms=used)
