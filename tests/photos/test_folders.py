"""What names of folders and files mean."""

import unicodedata

import pytest

from dogvscat.photos.reading.folder_names import ANIMAL_WORDS, SPLIT_WORDS
from dogvscat.photos.reading.folders import folder_name, has_photo_suffix, is_passed_over, is_photo


def test_no_word_means_both_animals_or_two_splits() -> None:
    for word, animal in ANIMAL_WORDS:
        assert folder_name(word).animal == animal, word
        assert folder_name(word).split is None, word
    for split, words in SPLIT_WORDS.items():
        for word in words.split(", "):
            assert folder_name(word).split == split, word
            assert folder_name(word).animal is None, word


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_word_is_known_in_any_case_and_composition(form: str) -> None:
    for word, animal in ANIMAL_WORDS:
        for written in (word, word.upper(), word.title(), f" {word} ", word.replace(" ", "_")):
            assert folder_name(unicodedata.normalize(form, written)).animal == animal, written  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "animal"),
    [
        ("KEDİ", "cat"),
        ("KÖPEK", "dog"),
        ("ΓΑΤΕΣ", "cat"),
        ("ΣΚΥΛΟΙ", "dog"),
        ("Katzchen", "cat"),
        ("kocka", "cat"),
        ("cao", "dog"),
        ("котенок", "cat"),
        ("Felis_catus", "cat"),
        ("K\udc84tzchen", "cat"),  # code page 850, as zips of German Windows have it
        ("\udccf\udce5\udcf1", "dog"),  # Пес in code page 1251
        ("\udcc3\udca8", "cat"),  # GBK
        ("\udcff\udcfe", None),
        ("Dogge", None),
        ("cathedral", None),
        ("0", None),
    ],
)
def test_words_as_people_write_them(name: str, animal: str | None) -> None:
    assert folder_name(name).animal == animal


@pytest.mark.parametrize(
    "name",
    [
        *("0.jpg?w=500", "0.JPG?w=500&h=3.5", "a.b.png@w=1", "0.jpeg%3Fw%3D500", "0.jpg:large", "0.jpg_large"),
        *("0.webp#frag", "0.jpg!d", "0.jpg\r", "0.jpg "),
    ],
)
def test_the_rest_of_an_address_does_not_hide_a_photo(name: str) -> None:
    assert has_photo_suffix(name)
    assert is_photo(f"cat/{name}")


@pytest.mark.parametrize("name", ["jpg", "0.jpg.part", "0.jpg.json", "0.jpg~", "0.txt", "Icon\r", "a.jpgx"])
def test_what_is_not_a_photo_by_its_name(name: str) -> None:
    assert not has_photo_suffix(name)


@pytest.mark.parametrize(
    "folder",
    [
        "@eaDir",
        "$RECYCLE.BIN",
        "System Volume Information",
        "#recycle",
        "lost+found",
        "__MACOSX",
        ".thumbnails",
        "@Recycle",
    ],
)
def test_folders_of_systems_are_passed_over(folder: str) -> None:
    assert is_passed_over(folder)
    assert not is_photo(f"cat/{folder}/0.jpg/thumb.jpg")
