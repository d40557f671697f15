"""How photos are laid out in a folder or an archive, and therefore which class each belongs to.

Pure functions over relative paths, used for folders and zips alike. Three layouts are recognised: two class folders;
flat names such as `cat.0.jpg`; and folders `train`, `validation` and `test`, each with one of the first two layouts
inside. Any number of folders that hold just one other folder, such as `PetImages/`, may lie above. Classes are matched
by name, never by the order in which a file system lists the folders.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from dogvscat.errors import LayoutError
from dogvscat.labels import NEITHER_NAMES, ClassNames
from dogvscat.photos.decoder import PHOTO_SUFFIXES
from dogvscat.text import pluralize

EXPECTED_LAYOUT = (
    "Expected two folders, one per class, such as cat/ and dog/; or files named cat.0.jpg, dog.0.jpg and so on."
)

_KNOWN = {"cat": "cat", "cats": "cat", "dog": "dog", "dogs": "dog"}
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
    """Relative, with forward slashes; bytes that are not UTF-8 are represented as by `os.fsdecode`."""
    label: int
    """Index into the class names: 0 or 1."""
    split: str | None
    """`train`, `validation` or `test` if the folders declare it, else None."""


class Layout(NamedTuple):
    """The classes and the photos of a collection."""

    class_names: ClassNames
    photos: list[Photo]
    """Sorted by path."""


@dataclass
class _Folder:
    """A folder with its subfolders; nothing is read from the disk."""

    path: str = ""
    """Relative; ends with a slash, except for the top folder."""
    subfolders: dict[str, "_Folder"] = field(default_factory=dict)
    direct_photos: list[str] = field(default_factory=list)
    """Paths of the photos directly inside."""
    num_photos: int = 0
    """Number of photos at any depth."""

    def subfolder(self, name: str) -> "_Folder":
        """The subfolder of that name, created if it is new."""
        return self.subfolders.setdefault(name, _Folder(f"{self.path}{name}/"))

    def with_photos(self) -> dict[str, "_Folder"]:
        """The subfolders that have photos at any depth, by name."""
        return {name: folder for name, folder in self.subfolders.items() if folder.num_photos}

    def all_photos(self) -> Iterator[str]:
        """The paths of the photos at any depth."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield from folder.direct_photos
            pending.extend(folder.subfolders.values())


_PathsByClass = dict[str, list[str]]
"""Paths of the photos of each class, by class name."""


def class_name(folder: str) -> str:
    """The class that a folder name stands for: `Cats` is `cat`. Names of other classes are returned unchanged."""
    return _KNOWN.get(folder.strip().lower(), folder)  # others keep their case: `Fox` and `fox` may be two classes


def is_cat_or_dog(name: str) -> bool:
    """Whether the name of a folder, or the prefix of a file name, is a spelling of cat or dog."""
    return name.strip().lower() in _KNOWN


def sorted_class_names(names: Iterable[str]) -> ClassNames:
    """The two class names in label order.

    Raises:
        ValueError: if there are not exactly two different names.
    """
    ordered = sorted(set(names))  # by code point, so that the order does not depend on the locale
    if len(ordered) != 2:
        raise ValueError(f"expected two class names, received {ordered}")
    return ordered[0], ordered[1]


def is_photo(path: str) -> bool:
    """Whether a relative path looks like a photo: by its suffix, and not hidden or among macOS's own files."""
    suffix = posixpath.splitext(path)[1].lower()
    return suffix in PHOTO_SUFFIXES and not any(map(_is_hidden, path.split("/")))


def recognize_layout(files: Iterable[str], folders: Iterable[str], location: str) -> Layout:
    """Give each photo its class and, if the folders declare splits, its split.

    Args:
        files: Relative paths of all files, with forward slashes.
        folders: Relative paths of folders, including empty ones; not all of them need to be listed.
        location: The name of the folder or archive in errors.

    Returns:
        The class names and the photos. Files that are not among them are not photos, or are unlabelled.

    Raises:
        LayoutError: if there are not exactly two classes with photos in each; what is there instead is listed.
    """
    files = list(files)
    folders = {*folders, *map(posixpath.dirname, files)}  # not every zip lists its folders
    top = _folder_tree(filter(is_photo, files), folders)
    if not top.num_photos:
        # Kaggle's archive of this competition contains train.zip and test1.zip.
        inner_archives = sorted(path for path in files if path.lower().endswith(".zip"))
        advice = (
            f"Unpack the archive inside, {inner_archives[0]}, and give the unpacked folder." if inner_archives else ""
        )
        raise LayoutError(f"{location} holds no photos", hint=advice or EXPECTED_LAYOUT)
    folder = _skip_single_folders(top)
    by_split = _classes_by_split(folder, location)
    if by_split is None:
        by_split = {None: _classes(folder, location)}
    # All splits have the same classes, so those of the first one count.
    class_names = sorted_class_names(by_split[next(iter(by_split))])
    photos = [
        Photo(path, class_names.index(name), split)
        for split, classes in by_split.items()
        for name, paths in classes.items()
        for path in paths
    ]
    return Layout(class_names, sorted(photos))


def unlabelled_layout(files: Iterable[str], folders: Iterable[str], location: str) -> Layout:
    """Like `recognize_layout`, for photos without classes: all photos, in any folders.

    Raises:
        LayoutError: if there is no photo.
    """
    photos = [Photo(path, 0, None) for path in sorted(filter(is_photo, files))]
    if not photos:
        raise LayoutError(f"{location} holds no photos", hint="Expected photos, in any folders.")
    return Layout(NEITHER_NAMES, photos)


def _folder_tree(photos: Iterable[str], folders: Iterable[str]) -> _Folder:
    """The top folder of a tree of all folders that are not hidden."""
    photos_in: dict[str, list[str]] = {path: [] for path in folders if not any(map(_is_hidden, path.split("/")))}
    for path in photos:
        photos_in.setdefault(posixpath.dirname(path), []).append(path)
    # Each folder's photos are added to its own count and to that of every folder above.
    top = _Folder()
    for path, direct_photos in photos_in.items():
        folder = top
        folder.num_photos += len(direct_photos)
        for name in path.split("/") if path else ():
            folder = folder.subfolder(name)
            folder.num_photos += len(direct_photos)
        folder.direct_photos.extend(direct_photos)
    return top


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _skip_single_folders(folder: _Folder) -> _Folder:
    """Go down through folders with a single folder inside, such as PetImages/, to the first that divides its photos."""
    while not folder.direct_photos and len(filled := folder.with_photos()) == 1:
        (inner,) = filled.values()
        # Do not enter cat/ next to an empty dog/: that is a missing class, and the breeds inside cat/ are not classes.
        if any(map(is_cat_or_dog, folder.subfolders)) or not (inner.with_photos() or _flat_classes(inner)):
            return folder
        folder = inner
    return folder


def _classes_by_split(folder: _Folder, location: str) -> dict[str | None, _PathsByClass] | None:
    """The classes of each declared split, or None if the folders declare none."""
    # Training folders first: their classes decide whether a test folder is labelled.
    filled = sorted(folder.with_photos().items(), key=lambda item: _declared_split(item[0]) != "train")
    if not filled or _declared_split(filled[0][0]) != "train" or any(is_cat_or_dog(name) for name, _ in filled):
        return None
    by_split: dict[str | None, _PathsByClass] = {}
    for name, inner in filled:
        split, inner = _declared_split(name), _skip_single_folders(inner)
        if split is None or (split != "train" and _is_unlabelled(inner, by_split["train"])):
            continue
        classes = by_split.setdefault(split, {})
        for label, paths in _classes(inner, location).items():
            classes.setdefault(label, []).extend(paths)
    class_lists = {split: ", ".join(sorted(classes)) for split, classes in by_split.items()}
    if len(set(class_lists.values())) > 1:
        listing = "; ".join(f"{split}: {names}" for split, names in class_lists.items())
        message = f"{location} has different classes in different splits ({listing})"
        raise LayoutError(message, hint=EXPECTED_LAYOUT)
    # A single training folder, even next to an unlabelled test folder, declares nothing: its photos are to be split.
    return by_split if len(by_split) > 1 else {None: by_split["train"]}


def _is_unlabelled(folder: _Folder, classes: _PathsByClass) -> bool:
    """Whether a test folder has no labels, as Kaggle's, whose answers are secret."""
    filled = folder.with_photos()
    return len(filled) < 2 and not _flat_classes(folder) and not any(class_name(name) in classes for name in filled)


def _declared_split(folder_name: str) -> str | None:
    """The split that a folder name stands for: `val` and `valid_set` are `validation`."""
    return _SPLIT_FOLDERS.get(folder_name.strip().lower().removesuffix("_set"))


def _classes(folder: _Folder, location: str) -> _PathsByClass:
    """The photos of exactly two classes, by flat names or by folders."""
    filled = folder.with_photos()
    full_path = f"{location}/{folder.path}".rstrip("/")
    flat_classes = _flat_classes(folder)
    if flat_classes and len(filled) < 2:
        if len(flat_classes) == 1:
            (single_class,) = flat_classes
            message = f"all file names in {full_path} start with one class, {single_class}; expected cat and dog"
            raise LayoutError(message, hint=EXPECTED_LAYOUT)
        return flat_classes
    classes = {class_name(name): list(inner.all_photos()) for name, inner in filled.items()}
    if len(filled) == 2 and len(classes) == 2 and not any(map(_declared_split, filled)):
        return classes
    raise LayoutError(_mismatch_message(folder, full_path), hint=EXPECTED_LAYOUT)


def _flat_classes(folder: _Folder) -> _PathsByClass:
    """Photos directly in the folder whose names start with the class, as Kaggle names them."""
    classes: _PathsByClass = {}
    for path in folder.direct_photos:
        prefix = PurePosixPath(path).name.split(".", 1)[0]
        if is_cat_or_dog(prefix):
            classes.setdefault(class_name(prefix), []).append(path)
    return classes


def _mismatch_message(folder: _Folder, full_path: str) -> str:
    filled = folder.with_photos()
    empty = sorted(folder.subfolders.keys() - filled.keys())
    counts = [f"{name}: {pluralize(inner.num_photos, 'photo')}" for name, inner in sorted(folder.subfolders.items())]
    if folder.direct_photos:
        counts.append(f"{'next to them: ' if counts else ''}{pluralize(len(folder.direct_photos), 'photo')}")
    listing = "; ".join(counts[:20]) + (f"; and {len(counts) - 20} more" if len(counts) > 20 else "")
    if len(filled) == 1 and empty:
        return f"the class folder {', '.join(empty)} in {full_path} holds no photos ({listing})"
    if not filled:
        return f"the photos in {full_path} are not in class folders ({listing})"
    if all(map(_declared_split, filled)):
        return f"the photos in {full_path} are in folders for training and testing, without class folders ({listing})"
    if len({class_name(name) for name in filled}) < len(filled) == 2:
        return f"both folders in {full_path} mean the same class ({listing})"
    count = "one class folder" if len(filled) == 1 else f"{len(filled)} class folders"
    return f"{full_path} has {count}, expected two ({listing})"
