"""How photos are laid out in a folder or an archive, and therefore which class each belongs to.

Pure functions over relative paths, used for folders and zips alike. They recognize two class folders; flat names such
as `cat.0.jpg`; folders for splits, such as `train` and `test`, around one of the first two or inside class folders; and
several such collections side by side. Folders that hold just one other folder, such as `PetImages/`, may lie above, in
any number. Classes are matched by name, never by the order in which a file system lists the folders.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from dogvscat.errors import LayoutError
from dogvscat.labels import NEITHER_NAMES, ClassNames
from dogvscat.photos.reading import layout_messages
from dogvscat.photos.reading.folder_names import ARCHIVE_SUFFIXES, TRAIN
from dogvscat.photos.reading.folders import Folder, build_tree, is_photo, name_key, resolve_evaluation
from dogvscat.photos.reading.layout_messages import EXPECTED_LAYOUT, RESERVED_NAMES, counted, listed
from dogvscat.photos.reading.nested_folders import (
    PhotosByClass,
    PhotosBySplit,
    merge_collections,
    refuse_two_readings,
    split_by_inner_folders,
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a labeled collection."""

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
    notes: tuple[str, ...] = ()
    """What a person should know about how the folders were read; one sentence per note."""


def sorted_class_names(names: Iterable[str]) -> ClassNames:
    """The two class names in label order.

    Raises:
        ValueError: if there are not exactly two different names.
    """
    ordered = sorted(set(names))  # by code point, so that the order does not depend on the locale
    if len(ordered) != 2:
        raise ValueError(f"expected two class names, received {ordered}")
    return ordered[0], ordered[1]


def recognize_layout(
    files: Iterable[str], folders: Iterable[str], location: str, class_folders: Mapping[str, str] | None = None
) -> Layout:
    """Give each photo its class and, if the folders declare splits, its split.

    Args:
        files: Relative paths of all files, with forward slashes.
        folders: Relative paths of folders, including empty ones; not all of them need to be listed.
        location: The name of the folder or archive in errors.
        class_folders: The class that each of these folder names stands for; the names of others are read as usual.

    Returns:
        The class names, the photos and notes. Files that are not among them are not photos, or are unlabeled.

    Raises:
        LayoutError: if there are not exactly two classes with photos in each, or it is not clear which folders are the
            classes; what is there instead is listed.
    """
    files = list(files)
    folders = {*folders, *map(posixpath.dirname, files)}  # not every zip lists its folders
    mapped = {name_key(folder): name for folder, name in (class_folders or {}).items()}
    top = build_tree(filter(is_photo, files), folders, mapped)
    if not top.photos:
        raise layout_messages.no_photos(files, _archives(files), location)
    reader = _LayoutReader(location)
    by_split = reader.read(top)
    class_names = sorted_class_names(name for classes in by_split.values() for name in classes)
    for name in class_names:
        if name_key(name) in RESERVED_NAMES:
            raise layout_messages.reserved_name(name, location)
    photos = [
        Photo(path, class_names.index(name), split)
        for split, classes in by_split.items()
        for name, paths in classes.items()
        for path in paths
    ]
    photos.sort(key=attrgetter("path"))
    notes = list(dict.fromkeys(reader.notes))
    if len(photos) < len(top.photos):
        notes.append(layout_messages.unused(top.photos, (photo.path for photo in photos)))
    if archives := _archives(files):
        notes.append(layout_messages.unread(archives))
    return Layout(class_names, photos, tuple(notes))


def unlabeled_layout(files: Iterable[str], folders: Iterable[str], location: str) -> Layout:
    """Like `recognize_layout`, for photos without classes: all photos, in any folders.

    Raises:
        LayoutError: if there is no photo.
    """
    files = list(files)
    photos = [Photo(path, 0, None) for path in sorted(filter(is_photo, files))]
    if not photos:
        raise LayoutError(f"{location} holds no photos", hint="Expected photos, in any folders.")
    archives = _archives(files)
    return Layout(NEITHER_NAMES, photos, (layout_messages.unread(archives),) if archives else ())


def _archives(files: Iterable[str]) -> list[str]:
    return sorted(path for path in files if path.lower().endswith(ARCHIVE_SUFFIXES))


class _LayoutReader:
    """Reads the folders of one collection."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.notes: list[str] = []
        self._class_names: dict[str, str] = {}
        """The class of each `name_key`: `Fox` in one split and `fox ` in another are one class, in the spelling
        that is read first."""

    def read(self, folder: Folder) -> PhotosBySplit:
        """The photos of each class in each split; the split is None if the folders declare none."""
        folder = _skip_single_folders(folder)
        return self._split_folders(folder) or self._collections(folder) or self._class_folders(folder)

    def _split_folders(self, folder: Folder) -> PhotosBySplit | None:
        """The classes of each split, or None if the folders are not for splits."""
        splits = _splits_of(folder)
        all_divided = len(splits) == len(folder.filled) and all(map(_is_divided, folder.filled.values()))
        if not splits or _holds_class_folders(folder) or not (TRAIN in splits.values() or all_divided):
            return None
        by_split: PhotosBySplit = {}
        listing = []
        # Training folders first: their classes decide whether a test folder is labeled.
        for name in sorted(splits, key=lambda name: (splits[name] != TRAIN, name)):
            split, inner = splits[name], _skip_single_folders(folder.filled[name])
            if TRAIN in by_split and split != TRAIN and _is_unlabeled(inner, by_split[TRAIN]):
                continue
            classes = self._without_splits(inner, split)
            listing.append(f"{split}: {', '.join(sorted(classes))}")
            for class_name, paths in classes.items():
                by_split.setdefault(split, {}).setdefault(class_name, []).extend(paths)
        if len({names.partition(":")[2] for names in listing}) > 1:
            message = f"{self.location} has different classes in different splits ({'; '.join(listing)})"
            raise LayoutError(message, hint=EXPECTED_LAYOUT)
        if not all(self._is_set_aside(inner, by_split) for name, inner in folder.filled.items() if name not in splits):
            raise layout_messages.unclear_classes(folder, self._full_path(folder))
        # A single training folder, even next to unlabeled test photos, declares nothing: its photos are to be split.
        return by_split if len(by_split) > 1 else {None: by_split.popitem()[1]}

    def _is_set_aside(self, folder: Folder, by_split: PhotosBySplit) -> bool:
        """Whether a folder next to those for splits may be left unused: it is not a second class next to `train`."""
        inner = _skip_single_folders(folder)
        return (
            len(by_split) > 1
            or not _is_divided(inner)
            or len(inner.starts) > 1
            or set(self._classes_of(inner.filled).values()) == by_split[TRAIN].keys()
        )

    def _without_splits(self, folder: Folder, split: str) -> PhotosByClass:
        """The classes of a folder for a split, which must not have folders for other splits inside."""
        by_split = self.read(folder)
        if by_split.keys() - {None, split}:
            names = ", ".join(sorted(map(str, by_split)))
            message = (
                f"{self._full_path(folder)} is for the {split} split and has folders for other splits inside: {names}"
            )
            raise LayoutError(message, hint=EXPECTED_LAYOUT)
        return by_split.popitem()[1]

    def _collections(self, folder: Folder) -> PhotosBySplit | None:
        """Folders that each hold both classes, merged; None if no classes are known by name below these folders."""
        filled = dict(sorted(folder.filled.items()))
        known_below = [inner.known_below for inner in filled.values()]
        if len(filled) < 2 or _holds_class_folders(folder) or len(set().union(*known_below)) < 2:
            return None
        full_path = self._full_path(folder)
        if _splits_of(folder) or any(len(names) < 2 for names in known_below):
            raise layout_messages.unclear_classes(folder, full_path)
        merged = merge_collections({name: self.read(inner) for name, inner in filled.items()}, full_path)
        self.notes.append(f"{len(filled)} folders hold the same classes, and are merged ({listed(counted(filled))}).")
        return merged

    def _class_folders(self, folder: Folder) -> PhotosBySplit:
        """The photos of exactly two classes, by flat names or by folders."""
        filled, full_path = dict(sorted(folder.filled.items())), self._full_path(folder)
        if folder.starts and len(filled) < 2:
            if len(folder.starts) != 2:
                raise layout_messages.not_two_starts(folder, full_path)
            return {None: folder.starts}
        classes = self._classes_of(filled)
        num_names = len({inner.name.key for inner in filled.values()})
        is_clear = num_names <= 2 or all(inner.is_certain for inner in filled.values())
        num_splits = sum(inner.name.split is not None for inner in filled.values())
        is_split = num_splits == len(filled) or (num_splits and _holds_class_folders(folder))
        if len(set(classes.values())) != 2 or not is_clear or is_split:
            raise layout_messages.not_two_classes(folder, classes, full_path)
        if not _holds_class_folders(folder):
            refuse_two_readings(filled, full_path)
        by_class: dict[str, list[Folder]] = {}
        for name, class_name in classes.items():
            by_class.setdefault(class_name, []).append(filled[name])
        self._note(by_class)
        if not any(inner.filled for inner in filled.values()):
            return {
                None: {name: [path for inner in inners for path in inner.photos] for name, inners in by_class.items()}
            }
        return split_by_inner_folders(by_class, full_path)

    def _classes_of(self, filled: Mapping[str, Folder]) -> dict[str, str]:
        """The class of each folder, by its name."""
        # A word that may mean an animal counts as one only where both animals lie side by side.
        known = {inner.known_class for inner in filled.values() if inner.known_class}
        return {
            name: inner.known_class
            if inner.known_class and (inner.is_certain or len(known) > 1)
            else self._class_names.setdefault(inner.name.key, inner.name.text)
            for name, inner in filled.items()
        }

    def _note(self, by_class: Mapping[str, list[Folder]]) -> None:
        """Note what is not obvious from the names of class folders."""
        for class_name, folders in by_class.items():
            if len(folders) > 1:
                names = " and ".join(folder.path for folder in folders)
                self.notes.append(f"{names} mean the same class, {class_name}, and are merged.")
            for name in dict.fromkeys(folder.name for folder in folders):
                if name.split:
                    self.notes.append(f"{name.text} is read as a class, although its name is that of a split.")
                elif name.text != class_name and not (name.is_plain and name.animal == class_name):
                    self.notes.append(f"{name.text} is read as the class {class_name}.")

    def _full_path(self, folder: Folder) -> str:
        return f"{self.location}/{folder.path}".rstrip("/")


def _skip_single_folders(folder: Folder) -> Folder:
    """Go down through folders with a single folder inside, such as PetImages/, to the first that divides its photos."""
    while not folder.direct_photos and len(folder.filled) == 1:
        (inner,) = folder.filled.values()
        # Do not enter cat/ next to an empty dog/: that is a missing class, and the breeds inside cat/ are not classes.
        is_class = any(subfolder.is_certain for subfolder in folder.subfolders.values())
        is_class |= inner.known_class is not None and len(folder.subfolders) > 1
        if (is_class and len(inner.known_below) < 2) or not (inner.filled or inner.starts):
            return folder
        folder = inner
    return folder


def _holds_class_folders(folder: Folder) -> bool:
    """Whether some of the subfolders are classes by their names."""
    subfolders = folder.filled.values()
    return (
        any(inner.is_certain for inner in subfolders) or len({inner.known_class for inner in subfolders} - {None}) > 1
    )


def _splits_of(folder: Folder) -> dict[str, str]:
    """The split that each subfolder is for, as far as its name declares one."""
    filled = folder.filled
    named = {name: inner.name.split for name, inner in filled.items() if inner.name.split}
    if len(filled) == 2 and len(named) == 1 and not any(inner.filled or inner.starts for inner in filled.values()):
        return {}  # `valid` next to `invalid`, `train` next to `plane`: these are classes
    all_mention = all(inner.name.mentioned_split for inner in filled.values())
    mentioned = {
        name: inner.name.mentioned_split
        for name, inner in filled.items()
        # pets_train is a split if it holds classes, an ordinary folder otherwise.
        if inner.name.mentioned_split and (len(inner.known_below) > 1 or (all_mention and _is_divided(inner)))
    }
    return resolve_evaluation(mentioned | named) if mentioned or named else {}


def _is_divided(folder: Folder) -> bool:
    inner = _skip_single_folders(folder)
    return len(inner.filled) > 1 or len(inner.starts) > 1


def _is_unlabeled(folder: Folder, classes: PhotosByClass) -> bool:
    """Whether a test folder has no labels, as Kaggle's, whose answers are secret."""
    names = {name for inner in folder.filled.values() for name in (inner.known_class, inner.name.text)}
    return len(folder.filled) < 2 and not folder.starts and not names & classes.keys()
