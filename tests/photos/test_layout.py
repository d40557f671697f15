"""Layouts of files, each given as a list of paths."""

import pytest

from dogvscat.errors import LayoutError
from dogvscat.photos.reading.folders import is_photo
from dogvscat.photos.reading.layout import Photo, recognize_layout


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
    class_names, photos, _ = recognize_layout([f"{folders[0]}/0.jpg", f"{folders[1]}/sub/1.PNG"], [], "pets")
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
def test_unlabeled_test_photos_are_skipped(test: str) -> None:
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
        recognize_layout(["train.zip", "sampleSubmission.csv"], [], "pets")
    assert caught.value.hint == "Unpack the archive inside, train.zip, and give the unpacked folder."


def test_several_archives_inside_are_listed_with_the_other_files() -> None:
    with pytest.raises(LayoutError, match=r"pets holds no photos, only 3 other files \(.zip: 2, .csv: 1\)") as caught:
        recognize_layout(["train.zip", "test1.zip", "sampleSubmission.csv"], [], "pets")
    assert "(test1.zip, train.zip)" in str(caught.value.hint)
    *_, notes = recognize_layout(["cat/0.jpg", "dog/0.jpg", "more.zip", "old.tar.gz"], [], "pets")
    assert notes == ("Not read: 2 archives (more.zip; old.tar.gz). Unpack them to use photos inside.",)


def test_a_long_list_of_folders_is_cut() -> None:
    with pytest.raises(LayoutError, match=r"120 class folders, expected two \(breed000: 1 photo;.*; and 100 more\)"):
        recognize_layout([f"breed{number:03}/0.jpg" for number in range(120)], [], "pets")


def test_the_order_of_files_does_not_matter() -> None:
    files = [f"{name}/{number}.jpg" for name in ("dog", "cat") for number in range(20)]
    assert recognize_layout(files, [], "pets") == recognize_layout(reversed(files), ["dog"], "pets")
    assert isinstance(recognize_layout(files, [], "pets").photos[0], Photo)


def _photos(*folders: str) -> list[str]:
    """Two photos in each folder."""
    return [f"{folder}/{number}.jpg" for folder in folders for number in range(2)]


def _counts(files: list[str], class_folders: dict[str, str] | None = None) -> dict[str | None, dict[str, int]]:
    """The number of photos of each class in each split."""
    class_names, photos, _ = recognize_layout(files, [], "pets", class_folders)
    counts: dict[str | None, dict[str, int]] = {}
    for photo in photos:
        split = counts.setdefault(photo.split, {})
        split[class_names[photo.label]] = split.get(class_names[photo.label], 0) + 1
    return counts


def _notes(files: list[str]) -> str:
    return " ".join(recognize_layout(files, [], "pets").notes)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "dev", "eval"),
        ("train_images", "valid2", "test-set"),
        ("cats_train", "cats_val", "cats test"),
        ("tabby/train", "siam/validation/old", "test/x/y"),
    ],
)
def test_splits_inside_class_folders_are_honored(train: str, validation: str, test: str) -> None:
    splits = {train: "train", validation: "validation", test: "test"}
    files = _photos(*(f"{name}/{inner}" for name in ("cats", "dogs") for inner in splits))
    class_names, photos, _ = recognize_layout(files, [], "pets")
    assert class_names == ("cat", "dog")
    assert {photo.path.split("/", 1)[1].rsplit("/", 1)[0]: photo.split for photo in photos} == splits
    assert len(photos) == 12


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "train2", "test"), {"train": 4, "test": 2}),
        (("train", "dev"), {"train": 2, "validation": 2}),
        (("train", "eval"), {"train": 2, "validation": 2}),
        (("train", "dev", "eval"), {"train": 2, "validation": 2, "test": 2}),
        (("train", "val", "eval", "test"), {"train": 2, "validation": 4, "test": 2}),
        (("trainval", "test"), {"train": 2, "test": 2}),
        (("pets_train", "pets_test"), {"train": 2, "test": 2}),
        (("trainset", "testdata", "Validation Images"), {"train": 2, "test": 2, "validation": 2}),
        (("val", "test"), {"validation": 2, "test": 2}),
        (("entrenamiento", "validación", "prueba"), {"train": 2, "validation": 2, "test": 2}),
        (("訓練", "検証", "テスト"), {"train": 2, "validation": 2, "test": 2}),
    ],
)
def test_names_of_splits(folders: tuple[str, ...], splits: dict[str, int]) -> None:
    counts = _counts(_photos(*(f"{folder}/{name}" for folder in folders for name in ("cat", "dog"))))
    assert counts == {split: {"cat": count, "dog": count} for split, count in splits.items()}


def test_collections_side_by_side_are_merged_and_said() -> None:
    files = _photos("Original Images/cat", "Original Images/dog", "Augmented/x/Katzen", "Augmented/x/Hunde")
    assert _counts(files) == {None: {"cat": 4, "dog": 4}}
    assert (
        "2 folders hold the same classes, and are merged (Augmented: 4 photos; Original Images: 4 photos)."
        in _notes(files)
    )
    files = _photos(*(f"{a}/{split}/{name}" for a in "ab" for split in ("train", "test") for name in ("cat", "dog")))
    assert _counts(files) == {"train": {"cat": 4, "dog": 4}, "test": {"cat": 4, "dog": 4}}
    assert _counts(["a/cat.1.jpg", "a/dog.1.jpg", "b/cat.1.jpg", "b/dog.1.jpg"]) == {None: {"cat": 2, "dog": 2}}


def test_names_of_splits_may_be_names_of_classes() -> None:
    for name, second in (("valid", "invalid"), ("train", "plane"), ("test", "control")):
        assert _counts(_photos(name, second)) == {None: {name: 2, second: 2}}
        assert f"{name} is read as a class, although its name is that of a split." in _notes(_photos(name, second))
        inside = _photos(*(f"{split}/{folder}" for split in ("train", "val") for folder in (name, second)))
        assert _counts(inside) == {"train": {name: 2, second: 2}, "validation": {name: 2, second: 2}}


@pytest.mark.parametrize(
    ("first", "second"),
    [("Kätzchen", "Ka\u0308tzchen"), ("Äpfel", "A\u0308PFEL "), ("Fox", " fox"), ("one  two", "One Two")],
)
def test_one_class_in_two_spellings(first: str, second: str) -> None:
    files = _photos(f"train/{first}", "train/x", f"val/{second}", "val/X ")
    _, photos, _ = recognize_layout(files, [], "pets")
    labels = {photo.path.split("/")[1]: photo.label for photo in photos}
    assert labels[first] == labels[second] != labels["x"] == labels["X "]
    merged = _photos(first, second, "x")
    assert sorted(_counts(merged)[None].values()) == [2, 4]
    assert "mean the same class" in _notes(merged)


def test_words_for_animals_count_where_both_lie_side_by_side() -> None:
    assert _counts(_photos("kot", "pies")) == {None: {"cat": 2, "dog": 2}}
    assert _notes(_photos("kot", "pies")) == "kot is read as the class cat. pies is read as the class dog."
    assert _counts(_photos("cakes", "pies")) == {None: {"cakes": 2, "pies": 2}}
    assert _counts(_photos("cat", "kitten")) == {None: {"cat": 2, "kitten": 2}}
    assert _counts(["Katze.0.jpg", "hund.1.jpg"]) == {None: {"cat": 1, "dog": 1}}
    assert _counts(_photos("chat/cat", "chat/dog")) == {None: {"cat": 2, "dog": 2}}


def test_folders_mapped_to_classes() -> None:
    mapping = {"Mieze": "cat", "wauwau": "dog"}
    assert _counts(_photos("MIEZE ", "Wauwau"), mapping) == {None: {"cat": 2, "dog": 2}}
    assert _counts(_photos("a/Mieze", "a/Wauwau", "b/Mieze", "b/Wauwau"), mapping) == {None: {"cat": 4, "dog": 4}}
    assert _counts(_photos("cat", "dog"), {"cat": "Kitty", "dog": "Bello"}) == {None: {"Kitty": 2, "Bello": 2}}
    assert _counts(["Mieze.1.jpg", "Wauwau.1.jpg"], mapping) == {None: {"cat": 1, "dog": 1}}
    swapped = recognize_layout(_photos("cat", "dog"), [], "pets", {"cat": "dog", "dog": "cat"})
    assert set(swapped.notes) == {"dog is read as the class cat.", "cat is read as the class dog."}
    with pytest.raises(LayoutError, match=r"start with 3 classes, expected two \(cat: 1 photo; dog: 1 photo; owl: 1"):
        recognize_layout(["cat.1.jpg", "dog.1.jpg", "Uhu.1.jpg"], [], "pets", {"Uhu": "owl"})


def test_photos_that_are_not_used_are_counted() -> None:
    files = [*_photos("train/cat", "train/dog", "val/cat", "val/dog", "other/cat", "test1"), "stray.jpg"]
    assert _notes(files) == (
        "Not used, because their folders do not name a class: 5 photos (in no folder: 1; other/cat: 2; test1: 2)."
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            _photos("cats", "dogs", "dogs/cats"),
            r"one class inside that of another: dogs/cats \(2 photos\), inside the folder of the class dog",
        ),
        (
            _photos("cats/tabby/Hunde", "cats", "dogs"),
            r"cats/tabby/Hunde \(2 photos\), inside the folder of the class cat",
        ),
        (_photos("fox/a/WOLF", "fox", "wolf"), r"fox/a/WOLF \(2 photos\), inside the folder of the class fox"),
        (_photos("cats/train", "cats/test", "dogs/train"), r"same splits \(cat: 2 test, 2 train; dog: 2 train\)"),
        (_photos("cats/train", "cats", "dogs/train"), r"\(cat: 2 in no split, 2 train; dog: 2 train\)"),
        (
            _photos("cats/train/test", "cats/train", "dogs/train"),
            r"which split cats/train/test in pets .* \(2 photos\)",
        ),
        (
            _photos("train/cat/val", "train/dog/val", "train/cat/train", "train/dog/train", "test/cat", "test/dog"),
            "pets/train is for the train split and has folders for other splits inside: train, validation",
        ),
        (
            _photos("PetImages/Cat", "PetImages/Dog", "docs"),
            r"which folders in pets are the classes \(PetImages: 4 photos, cat and dog; docs: 2 photos, no class\)",
        ),
        (_photos("a/cat", "b/dog"), r"are the classes \(a: 2 photos, cat; b: 2 photos, dog\)"),
        (
            _photos("val/cat", "val/dog", "more/cat", "more/dog"),
            r"are the classes \(more: 4 photos, .*; val: 4 photos, ",
        ),
        (
            _photos("day/apple", "day/pear", "night/apple", "night/pear"),
            r"are day and night, or apple and pear inside each of them \(day/apple: 2 photos; .*night/pear: 2 photos\)",
        ),
        (
            _photos("a/train/cat", "a/train/dog", "a/test/cat", "a/test/dog", "b/cat", "b/dog"),
            r"differ in their classes or splits \(a: cat, dog; test, train; b: cat, dog; no splits\)",
        ),
        (
            _photos("train/steam", "train/diesel", "plane/jet", "plane/propeller"),
            r"are the classes \(plane: 4 photos, no class; train: 4 photos, no class\)",
        ),
        (
            _photos("train", "cats"),
            r"a class folder next to a folder for the train split \(cats: 2 photos; train: 2 photos\)",
        ),
        (_photos("cat", "dog", "neither"), "3 class folders"),
        (_photos("cat", "dog", "pies"), "3 class folders"),
        (
            _photos("cat", "Unsure"),
            "a class named Unsure, but unsure is the answer where a network is not certain enough",
        ),
        (_photos("neither", "cat"), "a class named neither"),
        (_photos("leave_out", "cat"), "a class named leave_out"),
        (_photos("train/cat", "train/dog", "train2/cat", "train2/owl"), "train: cat, dog; train: cat, owl"),
    ],
)
def test_what_stays_unclear_is_refused_with_paths_and_counts(files: list[str], message: str) -> None:
    with pytest.raises(LayoutError, match=message) as caught:
        recognize_layout(files, [], "pets")
    assert caught.value.hint
    with pytest.raises(LayoutError) as reversed_order:
        recognize_layout(reversed(files), [], "pets")
    assert reversed_order.value.message == caught.value.message


def test_photos_that_show_neither_get_a_hint() -> None:
    with pytest.raises(LayoutError) as caught:
        recognize_layout(_photos("cat", "dog", "neither"), [], "pets")
    assert "--neither FOLDER" in str(caught.value.hint)
