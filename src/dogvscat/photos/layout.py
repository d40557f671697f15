"""How photos are arranged in a folder or an archive, and so which class each belongs to.

Pure functions over relative paths, shared by folders and zips. Three arrangements are understood, at the top or below
any number of single folders such as `PetImages/`: two class folders; flat names such as `cat.0.jpg`; and one of these
two in each of `train`, `validation` and `test`.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from dogvscat.errors import LayoutError
from dogvscat.labels import NEITHER_NAMES, ClassNames, class_name, is_cat_or_dog, sorted_class_names
from dogvscat.photos.decoder import PHOTO_SUFFIXES
from dogvscat.text import counted

EXPECTED = "Expected two folders, one a class, such as cat/ and dog/; or files named cat.0.jpg, dog.0.jpg and so on."

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, order=True)
class Photo:
    """One photo of a labelled collection."""

    path: str
    """Relative, with forward slashes; bytes that are not UTF-8 are kept as `os.fsdecode` keeps them."""
    label: int
    """Index into the class names: 0 or 1."""
    split: str | None
    """`train`, `validation` or `test` where the folders say so."""


class Layout(NamedTuple):
    """What was found."""

    class_names: ClassNames
    photos: list[Photo]
    """Sorted by path."""


@dataclass
class _Folder:
    path: str = ""
    folders: dict[str, "_Folder"] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    """Paths of the photos directly inside."""
    num_photos: int = 0
    """Photos at any depth."""

    def enter(self, name: str) -> "_Folder":
        return self.folders.setdefault(name, _Folder(f"{self.path}{name}/"))

    def filled(self) -> dict[str, "_Folder"]:
        return {name: folder for name, folder in self.folders.items() if folder.num_photos}

    def walk(self) -> Iterator[str]:
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield from folder.loose
            waiting.extend(folder.folders.values())


_Classes = dict[str, list[str]]
"""Paths of the photos of each class, by class name."""


def is_photo(path: str) -> bool:
    """Whether a relative path names a candidate: a photo's suffix, and nothing hidden or of macOS on the way."""
    suffix = posixpath.splitext(path)[1].lower()
    return suffix in PHOTO_SUFFIXES and not any(map(_is_hidden, path.split("/")))


def arrange(files: Iterable[str], folders: Iterable[str], location: str) -> Layout:
    """Give each photo its class and, where the folders say so, its split.

    Args:
        files: Relative paths of all files, with forward slashes.
        folders: Relative paths of the folders known, empty ones included.
        location: What to call the whole in errors.

    Returns:
        The class names and the photos; files that are not among them are of another kind or unlabelled.

    Raises:
        LayoutError: listing what was found, if it is not exactly two classes with photos in each.
    """
    files = list(files)
    folders = {*folders, *map(posixpath.dirname, files)}  # not every zip lists its folders
    top = _as_tree(filter(is_photo, files), folders)
    if not top.num_photos:
        inner = sorted(path for path in files if path.lower().endswith(".zip"))  # Kaggle's archive holds train.zip
        hint = f"There is an archive inside, {inner[0]}: unpack it and give that." if inner else EXPECTED
        raise LayoutError(f"{location} holds no photos", hint=hint)
    folder = _descend(top)
    by_split = _by_split(folder, location)
    if by_split is None:
        by_split = {None: _by_class(folder, location)}
    class_names = sorted_class_names(by_split[next(iter(by_split))])
    photos = [
        Photo(path, class_names.index(name), split)
        for split, classes in by_split.items()
        for name, paths in classes.items()
        for path in paths
    ]
    return Layout(class_names, sorted(photos))


def arrange_neither(files: Iterable[str], folders: Iterable[str], location: str) -> Layout:
    """As `arrange`, for photos that show neither class: whatever folder they are in.

    Raises:
        LayoutError: if there is no photo.
    """
    photos = [Photo(path, 0, None) for path in sorted(filter(is_photo, files))]
    if not photos:
        raise LayoutError(f"{location} holds no photos", hint="Expected photos, in any folders.")
    return Layout(NEITHER_NAMES, photos)


def _as_tree(photos: Iterable[str], folders: Iterable[str]) -> _Folder:
    by_folder: dict[str, list[str]] = {path: [] for path in folders if not any(map(_is_hidden, path.split("/")))}
    for path in photos:
        by_folder.setdefault(posixpath.dirname(path), []).append(path)
    top = _Folder()
    for path, loose in by_folder.items():
        folder = top
        folder.num_photos += len(loose)
        for name in path.split("/") if path else ():
            folder = folder.enter(name)
            folder.num_photos += len(loose)
        folder.loose.extend(loose)
    return top


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _descend(folder: _Folder) -> _Folder:
    """Down through single folders such as PetImages/, to where there is something to tell apart."""
    while not folder.loose and len(filled := folder.filled()) == 1:
        (inner,) = filled.values()
        # A folder of cats beside an empty one of dogs is a missing class, and its breeds are no classes.
        if any(map(is_cat_or_dog, folder.folders)) or not (inner.filled() or _flat(inner)):
            return folder
        folder = inner
    return folder


def _by_split(folder: _Folder, location: str) -> dict[str | None, _Classes] | None:
    """The classes of each split, or None where the folders declare none."""
    filled = sorted(folder.filled().items(), key=lambda item: _split(item[0]) != "train")  # training folders first
    if not filled or _split(filled[0][0]) != "train" or any(is_cat_or_dog(name) for name, _ in filled):
        return None
    by_split: dict[str | None, _Classes] = {}
    for name, inner in filled:
        split, inner = _split(name), _descend(inner)
        if split is None or (split != "train" and _is_unlabelled(inner, by_split["train"])):
            continue
        classes = by_split.setdefault(split, {})
        for label, paths in _by_class(inner, location).items():
            classes.setdefault(label, []).extend(paths)
    found = {split: ", ".join(sorted(classes)) for split, classes in by_split.items()}
    if len(set(found.values())) > 1:
        listed = "; ".join(f"{split}: {names}" for split, names in found.items())
        raise LayoutError(f"{location} has other classes in one split than in another ({listed})", hint=EXPECTED)
    return by_split if len(by_split) > 1 else {None: by_split["train"]}


def _is_unlabelled(folder: _Folder, classes: _Classes) -> bool:
    """Whether a test folder is one to be guessed at, such as Kaggle's, and not one with answers."""
    filled = folder.filled()
    return len(filled) < 2 and not _flat(folder) and not any(class_name(name) in classes for name in filled)


def _split(name: str) -> str | None:
    return _SPLIT_FOLDERS.get(name.strip().lower().removesuffix("_set"))


def _by_class(folder: _Folder, location: str) -> _Classes:
    filled = folder.filled()
    where = f"{location}/{folder.path}".rstrip("/")
    flat = _flat(folder)
    if flat and len(filled) < 2:
        if len(flat) == 1:
            (only,) = flat
            raise LayoutError(
                f"all flat names in {where} are of one class, {only}; expected cat and dog", hint=EXPECTED
            )
        return flat
    classes = {class_name(name): list(inner.walk()) for name, inner in filled.items()}
    if len(filled) == 2 and len(classes) == 2 and not any(map(_split, filled)):
        return classes
    raise LayoutError(_explain(folder, where), hint=EXPECTED)


def _flat(folder: _Folder) -> _Classes:
    """Photos directly in the folder whose names begin with the class, as Kaggle names them."""
    classes: _Classes = {}
    for path in folder.loose:
        prefix = PurePosixPath(path).name.split(".", 1)[0]
        if is_cat_or_dog(prefix):
            classes.setdefault(class_name(prefix), []).append(path)
    return classes


def _explain(folder: _Folder, where: str) -> str:
    filled = folder.filled()
    empty = sorted(folder.folders.keys() - filled.keys())
    found = [f"{name}: {counted(inner.num_photos, 'photo')}" for name, inner in sorted(folder.folders.items())]
    if folder.loose:
        found.append(f"{'beside them: ' if found else ''}{counted(len(folder.loose), 'photo')}")
    listed = "; ".join(found[:20]) + (f"; and {len(found) - 20} more" if len(found) > 20 else "")
    if len(filled) == 1 and empty:
        return f"the class folder {', '.join(empty)} in {where} holds no photos ({listed})"
    if not filled:
        return f"the photos in {where} are in no class folders ({listed})"
    if all(map(_split, filled)):
        return f"the photos in {where} are in folders for training and testing without classes inside ({listed})"
    if len({class_name(name) for name in filled}) < len(filled) == 2:
        return f"both folders in {where} mean the same class ({listed})"
    count = "one class folder" if len(filled) == 1 else f"{len(filled)} class folders"
    return f"{where} has {count}, expected two ({listed})"
