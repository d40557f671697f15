"""Folders below class folders, and collections side by side: what they hold is merged, or the layout is refused."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from dogvscat.errors import LayoutError
from dogvscat.photos.reading.folders import Folder, resolve_evaluation
from dogvscat.photos.reading.layout_messages import ONE_FOLDER_PER_CLASS, counted, listed
from dogvscat.text import pluralize

PhotosByClass = dict[str, list[str]]
"""Paths of the photos of each class, by class name."""
PhotosBySplit = dict[str | None, PhotosByClass]
"""The photos of each class in each split; None where no folder declares one."""

_SPLITS_HINT = (
    "Put all photos of each class into folders for the same splits, such as train/ and test/, or use no such folders."
)


def split_by_inner_folders(class_folders: Mapping[str, Sequence[Folder]], location: str) -> PhotosBySplit:
    """The photos of class folders that have folders inside. Names of splits are honored, and other names are not used.

    Args:
        class_folders: The folders of each class.
        location: The name of the collection in errors.

    Raises:
        LayoutError: if a folder of one class lies inside one of another, or only some of the photos are in folders for
            splits.
    """
    _refuse_misplaced(class_folders, location)
    by_class: dict[str, dict[str | None, list[str]]] = {}
    for name, folders in class_folders.items():
        for folder in folders:
            for split, inner in _with_split(folder, location):
                by_class.setdefault(name, {}).setdefault(split, []).extend(inner.direct_photos)
    by_class = {name: _without_empty(splits) for name, splits in by_class.items()}
    kinds = {split for splits in by_class.values() for split in splits}
    if any(splits.keys() != kinds for splits in by_class.values()) or (None in kinds and len(kinds) > 1):
        counts = [f"{name}: {_counts_in_words(splits)}" for name, splits in sorted(by_class.items())]
        message = f"the class folders in {location} do not have all photos in the same splits ({listed(counts)})"
        raise LayoutError(message, hint=_SPLITS_HINT)
    if len(kinds) == 1:  # photos that are all for testing, say, are simply photos
        return {None: {name: paths for name, splits in by_class.items() for paths in splits.values()}}
    meaning = resolve_evaluation({split: split for split in kinds if split})
    by_split: PhotosBySplit = {}
    for name, splits in by_class.items():
        for split, paths in splits.items():
            by_split.setdefault(meaning[split or ""], {}).setdefault(name, []).extend(paths)
    return by_split


def merge_collections(collections: Mapping[str, PhotosBySplit], location: str) -> PhotosBySplit:
    """Several collections as one.

    Args:
        collections: By the names of their folders.
        location: The folder in which they lie, in errors.

    Raises:
        LayoutError: if they differ in their classes or their splits.
    """
    contents = {name: _contents_in_words(by_split) for name, by_split in collections.items()}
    if len(set(contents.values())) > 1:
        listing = listed([f"{name}: {words}" for name, words in contents.items()])
        message = f"the folders in {location} differ in their classes or splits ({listing})"
        raise LayoutError(message, hint=ONE_FOLDER_PER_CLASS)
    merged: PhotosBySplit = {}
    for by_split in collections.values():
        for split, classes in by_split.items():
            for name, paths in classes.items():
                merged.setdefault(split, {}).setdefault(name, []).extend(paths)
    return merged


def refuse_two_readings(filled: Mapping[str, Folder], location: str) -> None:
    """Refuse two folders that may be the classes, or collections whose classes are the same two folders inside each.

    Args:
        filled: Folders whose names are not words for classes.
        location: The folder in which they lie, in errors.

    Raises:
        LayoutError: if it is not clear.
    """
    inside = {tuple(sorted(inner.name.key for inner in outer.filled.values())) for outer in filled.values()}
    has_splits = any(inner.name.split for outer in filled.values() for inner in outer.filled.values())
    has_direct_photos = any(outer.direct_photos for outer in filled.values())
    if len(filled) == 2 and len(inside) == 1 and len(*inside) == 2 and not has_splits and not has_direct_photos:
        outer_names, inner_names = " and ".join(filled), " and ".join(*inside)
        counts = [entry for outer in filled.values() for entry in counted(outer.filled, outer.name.text)]
        message = f"the classes in {location} are {outer_names}, or {inner_names} inside each of them"
        raise LayoutError(f"it is not clear whether {message} ({listed(counts)})", hint=ONE_FOLDER_PER_CLASS)


def _refuse_misplaced(class_folders: Mapping[str, Sequence[Folder]], location: str) -> None:
    """Raise if a folder of one class lies inside a folder of another."""
    class_of_key = {folder.name.key: name for name, folders in class_folders.items() for folder in folders}
    misplaced = [
        f"{inner.path.rstrip('/')} ({pluralize(len(inner.photos), 'photo')}), inside the folder of the class {name}"
        for name, folders in class_folders.items()
        for folder in folders
        for inner in _folders_below(folder)
        # Only classes of this collection count: a folder `cat` inside the class `mammals` is not a misplaced class.
        if (inner.known_class if inner.known_class in class_folders else class_of_key.get(inner.name.key, name)) != name
    ]
    if misplaced:
        message = f"{location} has a folder of one class inside that of another: {listed(misplaced, most=5)}"
        raise LayoutError(message, hint=f"Move or rename it. {ONE_FOLDER_PER_CLASS}")


def _folders_below(folder: Folder) -> Iterator[Folder]:
    """Every folder with photos inside a folder, at any depth."""
    pending = list(folder.filled.values())
    while pending:
        inner = pending.pop()
        yield inner
        pending += inner.filled.values()


def _with_split(class_folder: Folder, location: str) -> Iterator[tuple[str | None, Folder]]:
    """A class folder and those inside it, each with the split that its name, or one above, declares."""
    pending: list[tuple[str | None, Folder]] = [(None, class_folder)]
    while pending:
        split, folder = pending.pop()
        yield split, folder
        for inner in folder.filled.values():
            name = inner.name
            inner_split = name.split or (name.mentioned_split if name.is_animal_split else None)
            if split and inner_split and inner_split != split:
                count = pluralize(len(inner.photos), "photo")
                message = f"it is not clear which split {inner.path.rstrip('/')} in {location} belongs to ({count})"
                raise LayoutError(message, hint=_SPLITS_HINT)
            pending.append((split or inner_split, inner))


def _without_empty(splits: Mapping[str | None, list[str]]) -> dict[str | None, list[str]]:
    return {split: paths for split, paths in splits.items() if paths}


def _counts_in_words(splits: Mapping[str | None, list[str]]) -> str:
    counts = Counter({split or "in no split": len(paths) for split, paths in splits.items()})
    return ", ".join(f"{count:,} {split}" for split, count in sorted(counts.items()))


def _contents_in_words(by_split: PhotosBySplit) -> str:
    classes = sorted({name for classes in by_split.values() for name in classes})
    splits = sorted(split or "no splits" for split in by_split)
    return f"{', '.join(classes)}; {', '.join(splits)}"
