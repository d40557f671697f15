"""What the techniques are that a study tries: two sentences and a source for each, from techniques.toml."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dogvscat.exploring.study.plan import VARIANT, Treatment, treatment_name
from dogvscat.settings.toml import read_toml

TECHNIQUES_FILE = Path(__file__).parent / "techniques.toml"


class Technique(NamedTuple):
    """A technique, explained to somebody who does not know it."""

    names: list[str]
    """The treatments that try it."""
    text: str
    """Two sentences."""
    source: str
    """Authors, title and year."""


def techniques_of(treatments: Sequence[Treatment]) -> list[Technique]:
    """The techniques that some treatments try, each once, in their order; unknown ones are left out."""
    names: dict[str, list[str]] = {}
    for treatment in treatments:
        if key := _key(treatment):
            names.setdefault(key, []).append(treatment_name(treatment.setting, treatment.value))
    return [Technique(names[key], **_entries()[key]) for key in names]


def _key(treatment: Treatment) -> str | None:
    """The entry that explains a treatment, if there is one."""
    setting = treatment.overrides[0].partition("=")[0] if treatment.setting == VARIANT else treatment.setting
    candidates = (treatment_name(treatment.setting, treatment.value), setting)
    return next((key for key in candidates if key in _entries()), None)


@cache
def _entries() -> dict[str, dict[str, str]]:
    return read_toml(TECHNIQUES_FILE)
