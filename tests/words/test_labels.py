"""Class names are matched and ordered by name."""

import pytest

from dogvscat.labels import CAT_AND_DOG
from dogvscat.photos.reading.folders import folder_name
from dogvscat.photos.reading.layout import sorted_class_names


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("cat", "cat"),
        ("Cats", "cat"),
        (" DOG ", "dog"),
        ("dogs", "dog"),
        ("Fox", None),
        ("catfish", None),
        ("", None),
    ],
)
def test_folders_stand_for_classes(folder: str, expected: str | None) -> None:
    assert folder_name(folder).animal == expected
    assert folder_name(folder).is_plain == (expected is not None)


@pytest.mark.parametrize("names", [["dog", "cat"], ["cat", "dog"], ["dog", "cat", "dog"]])
def test_the_positive_class_is_the_second_by_name(names: list[str]) -> None:
    assert sorted_class_names(names) == CAT_AND_DOG == ("cat", "dog")


@pytest.mark.parametrize("names", [[], ["cat"], ["cat", "cat"], ["a", "b", "c"]])
def test_anything_but_two_classes_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="expected two class names"):
        sorted_class_names(names)
