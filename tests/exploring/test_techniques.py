"""The techniques of the bundled studies are explained."""

import re
import tomllib
from pathlib import Path

import pytest

from dogvscat.exploring.study.plan import (
    BASE,
    STUDIES_FOLDER,
    Treatment,
    load_plan,
    plan_cells,
    treatment_name,
)
from dogvscat.exploring.study.techniques import TECHNIQUES_FILE, techniques_of
from dogvscat.settings.keys import setting_keys

ENTRIES = tomllib.loads(TECHNIQUES_FILE.read_text(encoding="utf-8"))
FILES = sorted(STUDIES_FOLDER.glob("*.toml"))


def treatments_of(file: Path) -> list[Treatment]:
    treatments = dict.fromkeys(cell.treatment for cell in plan_cells(load_plan(file)))
    return [treatment for treatment in treatments if treatment.setting != BASE]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_technique_of_a_bundled_study_is_explained(file: Path) -> None:
    treatments = treatments_of(file)
    explained = [name for technique in techniques_of(treatments) for name in technique.names]
    assert sorted(explained) == sorted(treatment_name(each.setting, each.value) for each in treatments)


@pytest.mark.parametrize("key", ENTRIES)
def test_an_explanation_has_two_sentences_and_a_source_with_its_year(key: str) -> None:
    assert key.partition(" = ")[0] in setting_keys()
    assert ENTRIES[key].keys() == {"text", "source"}
    assert len(re.findall(r"\.(?: |$)", ENTRIES[key]["text"])) == 2
    assert re.search(r", (19|20)\d\d$", ENTRIES[key]["source"]) or "docs/experiments.md" in ENTRIES[key]["source"]


def test_what_nobody_explains_is_left_out() -> None:
    own = Treatment("network.changes", '"relu instead of norm"', ("network.changes=...",))
    assert techniques_of([own, Treatment("training.l2", "0.1", ("training.l2=0.1",))]) == []
