"""The words of the field, from terms.toml: what they mean, and where they stand in a text."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Term:
    """A word, explained to somebody who knows nothing of networks.

    Args:
        name: As it stands inside a sentence, for example `learning rate`.
        text: One to three sentences.
        see: What shows it in this project, with code between backticks; empty if nothing does.
        source: Authors, title and year of a paper that defined it, or empty.
        forms: The spellings by which it is found in a text, in any case.
    """

    name: str
    text: str
    see: str
    source: str
    forms: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name with a capital letter at the start."""
        return self.name[0].upper() + self.name[1:]

    @property
    def anchor(self) -> str:
        """The name of the place that explains it. GitHub gives the title, as a heading, the same anchor."""
        return self.name.lower().replace(" ", "-")


@cache
def terms() -> tuple[Term, ...]:
    """Every term, in alphabetical order."""
    entries = tomllib.loads(files("dogvscat.glossary").joinpath("terms.toml").read_text(encoding="utf-8"))
    return tuple(_read_term(name, entry) for name, entry in entries.items())


def _read_term(name: str, entry: dict[str, str | list[str]]) -> Term:
    forms = entry.pop("forms", (name, f"{name}s"))
    return Term(name, **{"see": "", "source": ""} | entry, forms=tuple(forms))  # type: ignore[arg-type]


def find_terms(text: str) -> Iterator[tuple[re.Match[str], Term]]:
    """The terms in a text, in its order: where, and which. `log loss` is that term only, and not `loss` as well."""
    pattern, by_form = _pattern()
    for match in pattern.finditer(text):
        yield match, by_form[" ".join(match[0].lower().split())]


@cache
def _pattern() -> tuple[re.Pattern[str], dict[str, Term]]:
    by_form = {form.lower(): term for term in terms() for form in term.forms}
    # The first alternative that fits is taken, so the longest comes first. A form may be broken over two lines.
    longest_first = sorted(by_form, key=len, reverse=True)
    alternatives = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest_first)
    # Not within a longer word or the name of a setting, such as `network.dropout`.
    return re.compile(rf"(?<![\w.-])(?:{alternatives})(?![\w-]|\.\w)", re.IGNORECASE), by_form
