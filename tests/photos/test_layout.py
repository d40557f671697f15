"""Layouts of files, each given as a list of paths."""

import pytest

from dogvscat.errors import LayoutError
from dogvscat.photos.layout import Photo, is_photo, recognize_layout


def _layout(*files: str, folders: tuple[str, ...] = ()) -> tuple[tuple[str, str], list[tuple[str, int, str | None]]]:
    layout = recognize_layout(files, folders, "pets")
    return layout.class_names, [(photo.path, photo.label, photo.split) for photo in layout.photos]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("cat", "dog"), ("cat", "dog")),
        (("Cats", "DOGS"), ("cat", "dog")),
        (("Dog", "cats"), ("dog", "cat")),
        (("apple", "wolf"), ("apple", "wolf")),
        (("Wolf", "apple"), ("Wolf", "apple")),
        (("birds", "cat"), ("birds", "cat")),
        (("-rf", "a\nb"), ("-rf", "a\nb")),
        (("é", "\udcff"), ("é", "\udcff")),
    ],
)
def test_two_folders_are_two_classes(folders: tuple[str, str], names: tuple[str, str]) -> None:
    class_names, photos = recognize_layout([f"{folders[0]}/0.jpg", f"{folders[1]}/sub/1.PNG"], [], "pets")
    assert class_names == tuple(sorted(names))
    assert [class_names[photo.label] for photo in photos] == list(names)


def test_labels_follow_the_sorted_names() -> None:
    assert _layout("Dog/1.jpg", "Cat/2.jpg", "Cat/1.jpg") == (
        ("cat", "dog"),
        [("Cat/1.jpg", 0, None), ("Cat/2.jpg", 0, None), ("Dog/1.jpg", 1, None)],
    )


@pytest.mark.parametrize(
    "prefix", ["PetImages/", "a/b/c/", "data/train/", "train/", "training_set/training_set/", "dogs-vs-cats/"]
)
def test_single_folders_are_skipped(prefix: str) -> None:
    _, photos = _layout(f"{prefix}cat/0.jpg", f"{prefix}dog/0.jpg", "readme.txt")
    assert photos == [(f"{prefix}cat/0.jpg", 0, None), (f"{prefix}dog/0.jpg", 1, None)]


@pytest.mark.parametrize("prefix", ["", "train/", "dogs-vs-cats/train/"])
def test_flat_names_as_kaggle_has_them(prefix: str) -> None:
    _, photos = _layout(f"{prefix}cat.0.jpg", f"{prefix}DOG.1.JPG", f"{prefix}dogs.2.jpg", f"{prefix}IMG_3.jpg")
    assert sorted(photos) == sorted(
        [(f"{prefix}cat.0.jpg", 0, None), (f"{prefix}DOG.1.JPG", 1, None), (f"{prefix}dogs.2.jpg", 1, None)]
    )


@pytest.mark.parametrize("test", ["test1/7.jpg", "test/7.jpg", "test/test/7.jpg", "test/unknown/7.jpg"])
def test_unlabelled_test_photos_are_skipped(test: str) -> None:
    assert [path for path, _, _ in _layout("train/cat.0.jpg", "train/dog.0.jpg", test)[1]] == [
        "train/cat.0.jpg",
        "train/dog.0.jpg",
    ]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "validation", "test"), ("Training", "val", "testing"), ("training_set", "valid", "test_set")],
)
def test_folders_declare_splits(train: str, validation: str, test: str) -> None:
    files = [f"{split}/{name}/0.jpg" for split in (train, validation, test) for name in ("cats", "dogs")]
    class_names, photos = _layout(*files, "other/cats/0.jpg")
    assert class_names == ("cat", "dog")
    assert {path: split for path, _, split in photos} == {
        f"{folder}/{name}/0.jpg": split
        for folder, split in ((train, "train"), (validation, "validation"), (test, "test"))
        for name in ("cats", "dogs")
    }


def test_a_split_may_have_flat_names_and_a_folder_of_its_own() -> None:
    _, photos = _layout("train/cat.0.jpg", "train/dog.0.jpg", "val/val/cat/0.jpg", "val/val/dog/0.jpg")
    assert [split for _, _, split in photos] == ["train", "train", "validation", "validation"]


def test_hidden_files_and_those_of_macos_are_not_photos() -> None:
    names = ["cat/.0.jpg", ".git/cat/0.jpg", "__MACOSX/cat/._0.jpg", "cat/Thumbs.db", "cat/0.docx", "cat/jpg"]
    assert not any(map(is_photo, names))
    assert all(map(is_photo, ["cat/0.jpg", "0.JPEG", "a b/-.heic", "x/\udcff.webp", "a\nb/c\n.tif"]))
    assert len(_layout("cat/0.jpg", "dog/0.jpg", *names)[1]) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "pets holds no photos"),
        (["cat/Thumbs.db", "readme.md"], "pets holds no photos"),
        (["cat/0.jpg"], r"pets has one class folder, expected two \(cat: 1 photo\)"),
        (["cat/persian/0.jpg", "cat/siam/1.jpg"], r"one class folder, expected two \(cat: 2 photos\)"),
        (["cat/0.jpg", "dog/0.txt"], r"the class folder dog in pets holds no photos \(cat: 1 photo; dog: 0 photos\)"),
        (["x/cat/0.jpg", "x/dog/0.txt"], "the class folder dog in pets/x holds no photos"),
        (["apples/0.jpg", "pears/0.txt"], "the class folder pears in pets holds no photos"),
        (["cat/0.jpg", "dog/0.jpg", "owl/0.jpg", "owl/1.jpg"], "3 class folders.*cat: 1.*dog: 1.*owl: 2 photos"),
        (["cat/0.jpg", "cats/0.jpg"], "both folders in pets mean the same class"),
        (["0.jpg", "1.jpg"], r"the photos in pets are not in class folders \(2 photos\)"),
        (["cat/0.jpg", "1.jpg"], r"one class folder.*\(cat: 1 photo; next to them: 1 photo\)"),
        (["cat.0.jpg", "cat.1.jpg"], "all file names in pets start with one class, cat"),
        (["train/0.jpg", "test/1.jpg"], "the photos in pets/train are not in class folders"),
        (["test/0.jpg", "val/1.jpg"], "folders for training and testing, without class folders"),
        (["train/cat/0.jpg", "val/cat/1.jpg", "val/dog/1.jpg"], "pets/train has one class folder"),
        (["train/cat/0.jpg", "train/dog/0.jpg", "val/cat/1.jpg"], "pets/val has one class folder"),
        (["train/cat/0.jpg", "train/dog/0.jpg", "val/a/1.jpg", "val/b/1.jpg"], "train: cat, dog; validation: a, b"),
        (["cat/0.jpg", "dog/0.jpg", "train/cat/0.jpg", "train/dog/0.jpg"], "3 class folders"),
    ],
)
def test_what_is_not_two_classes_is_listed(files: list[str], message: str) -> None:
    with pytest.raises(LayoutError, match=message) as caught:
        recognize_layout(files, [], "pets")
    assert caught.value.hint is not None
    assert "cat" in caught.value.hint


def test_an_empty_class_folder_is_named() -> None:
    with pytest.raises(LayoutError, match="the class folder Dog in pets holds no photos"):
        recognize_layout(["Cat/0.jpg"], ["Cat", "Dog"], "pets")


def test_an_archive_inside_the_archive_gets_advice() -> None:
    with pytest.raises(LayoutError, match="holds no photos") as caught:
        recognize_layout(["train.zip", "test1.zip", "sampleSubmission.csv"], [], "pets")
    assert caught.value.hint == "Unpack the archive inside, test1.zip, and give the unpacked folder."


def test_a_long_list_of_folders_is_cut() -> None:
    with pytest.raises(LayoutError, match=r"120 class folders, expected two \(breed000: 1 photo;.*; and 100 more\)"):
        recognize_layout([f"breed{number:03}/0.jpg" for number in range(120)], [], "pets")


def test_the_order_of_files_does_not_matter() -> None:
    files = [f"{name}/{number}.jpg" for name in ("dog", "cat") for number in range(20)]
    assert recognize_layout(files, [], "pets") == recognize_layout(reversed(files), ["dog"], "pets")
    assert isinstance(recognize_layout(files, [], "pets").photos[0], Photo)
