"""Write docs/glossary.md from src/dogvscat/glossary/terms.toml: `make docs`.

tests/glossary/test_glossary.py fails if they differ.
"""

import textwrap
from pathlib import Path

from dogvscat.glossary.terms import Term, find_terms, terms

PAGE = Path(__file__).parent / "glossary.md"
WIDTH = 120

INTRODUCTION = """\
# Glossary

The words of the field, for a reader who knows nothing of networks. `report.html` and the other pages explain those that
they use. This page is written by `make docs` from `src/dogvscat/glossary/terms.toml`.
"""


def write_glossary() -> str:
    """The whole page as Markdown."""
    return "\n".join([INTRODUCTION, *map(describe_term, terms())])


def describe_term(term: Term) -> str:
    """The section of one term."""
    paragraphs = [_with_links(term.text, term)]
    if term.see:
        paragraphs.append(f"See: {term.see}")
    if term.source:
        paragraphs.append(f"Source: {term.source}.")
    return "\n\n".join([f"## {term.title}", *map(_wrap, paragraphs)]) + "\n"


def _with_links(text: str, term: Term) -> str:
    """The text with a link at the first mention of each other term."""
    parts, end, linked = [], 0, {term.name}
    for match, mentioned in find_terms(text):
        if mentioned.name not in linked:
            linked.add(mentioned.name)
            parts += [text[end : match.start()], f"[{match[0]}](#{mentioned.anchor})"]
            end = match.end()
    return "".join([*parts, text[end:]])


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(write_glossary(), encoding="utf-8")
