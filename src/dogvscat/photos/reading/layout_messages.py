"""Errors about layouts that cannot be read, with counts and what to do, and notes about layouts that can."""

import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from dogvscat.errors import LayoutError
from dogvscat.labels import LEAVE_OUT, NEITHER, UNSURE
from dogvscat.photos.reading.folders import Folder, is_passed_over, name_key
from dogvscat.text import pluralize

EXPECTED_LAYOUT = (
    "Expected two folders, one per class, such as cat/ and dog/; or files named cat.0.jpg, dog.0.jpg and so on."
)
ONE_FOLDER_PER_CLASS = "Put the photos of each class into one folder of their own, such as cat/ and dog/."

_MOST_LISTED = 20
RESERVED_NAMES = {
    UNSURE: "the answer where a network is not certain enough",
    NEITHER: "the probability that a photo shows neither class",
    LEAVE_OUT: "the suggestion in relabel.csv to leave a photo out",
}
"""Names that no class may have, because its answers would be mixed up with others; and what they mean."""


def no_photos(files: Sequence[str], archives: Sequence[str], location: str) -> LayoutError:
    """For a collection without a single photo; its other files are counted by their endings."""
    visible = [path for path in files if not any(map(is_passed_over, path.split("/")))]
    endings = Counter(posixpath.splitext(path)[1].lower() or "no ending" for path in visible)
    message = f"{location} holds no photos"
    if visible:
        counts = ", ".join(f"{ending}: {count:,}" for ending, count in endings.most_common(5))
        message += f", only {pluralize(len(visible), 'other file')} ({counts})"
    if len(archives) == 1:  # Kaggle's archive of this competition contains train.zip and test1.zip
        hint = f"Unpack the archive inside, {archives[0]}, and give the unpacked folder."
    elif archives:
        listing = ", ".join(archives[:5]) + ", ..." * (len(archives) > 5)
        hint = (
            f"Unpack those of the archives inside ({listing}) that hold labeled photos, and give the unpacked folder."
        )
    else:
        hint = EXPECTED_LAYOUT
    return LayoutError(message, hint=hint)


def not_two_classes(folder: Folder, classes: Mapping[str, str], full_path: str) -> LayoutError:
    """For a folder that should hold two class folders and does not.

    Args:
        folder: The folder.
        classes: The class that each subfolder with photos stands for.
        full_path: The folder with the location.
    """
    filled = folder.filled
    empty = sorted(folder.subfolders.keys() - filled.keys())
    splits = [name for name, inner in filled.items() if inner.name.split]
    counts = counted(folder.subfolders)
    if folder.direct_photos:
        counts.append(f"{'next to them: ' if counts else ''}{pluralize(len(folder.direct_photos), 'photo')}")
    listing = listed(counts)
    if len(filled) == 1 and empty:
        message = f"the class folder {', '.join(empty)} in {full_path} holds no photos ({listing})"
    elif not filled:
        message = f"the photos in {full_path} are not in class folders ({listing})"
    elif len(splits) == len(filled):
        message = (
            f"the photos in {full_path} are in folders for training and testing, without class folders ({listing})"
        )
    elif len(filled) == 2 and len(set(classes.values())) == 1:
        message = f"both folders in {full_path} mean the same class ({listing})"
    elif len(filled) == 2:
        message = (
            f"{full_path} has a class folder next to a folder for the {filled[splits[0]].name.split} split ({listing})"
        )
    else:
        count = "one class folder" if len(filled) == 1 else f"{len(filled)} class folders"
        message = f"{full_path} has {count}, expected two ({listing})"
    hint = EXPECTED_LAYOUT
    if any(name_key(name) in (NEITHER, UNSURE) for name in filled):
        hint += " Photos that show neither class are given separately: dogvscat train PHOTOS --neither FOLDER"
    return LayoutError(message, hint=hint)


def not_two_starts(folder: Folder, full_path: str) -> LayoutError:
    """For photos whose names start with one class, or with more than two."""
    if len(folder.starts) == 1:
        (single_class,) = folder.starts
        message = f"all file names in {full_path} start with one class, {single_class}; expected cat and dog"
    else:
        counts = [f"{name}: {pluralize(len(paths), 'photo')}" for name, paths in sorted(folder.starts.items())]
        message = f"the file names in {full_path} start with {len(counts)} classes, expected two ({listed(counts)})"
    return LayoutError(message, hint=EXPECTED_LAYOUT)


def unclear_classes(folder: Folder, full_path: str) -> LayoutError:
    """For folders of which only some hold both classes, or hold other classes than the rest."""
    entries = [
        f"{entry}, {' and '.join(sorted(inner.known_below)) or 'no class'}"
        for entry, (_, inner) in zip(counted(folder.filled), sorted(folder.filled.items()), strict=True)
    ]
    message = f"it is not clear which folders in {full_path} are the classes ({listed(entries)})"
    return LayoutError(message, hint=f"Give the folder with the classes. {ONE_FOLDER_PER_CLASS}")


def reserved_name(name: str, location: str) -> LayoutError:
    """For a class whose name has a meaning of its own."""
    key = name_key(name)
    message = f"{location} has a class named {name}, but {key} is {RESERVED_NAMES[key]}"
    return LayoutError(message, hint="Rename the folder of that class.")


def unused(photos: Iterable[str], used: Iterable[str]) -> str:
    """The note about photos that are in no class."""
    folders = Counter(map(posixpath.dirname, set(photos) - set(used)))
    counts = listed([f"{folder or 'in no folder'}: {count:,}" for folder, count in sorted(folders.items())], most=5)
    return f"Not used, because their folders do not name a class: {pluralize(folders.total(), 'photo')} ({counts})."


def unread(archives: Sequence[str]) -> str:
    """The note about archives inside."""
    them = "it" if len(archives) == 1 else "them"
    count = pluralize(len(archives), "archive")
    return f"Not read: {count} ({listed(archives, most=5)}). Unpack {them} to use photos inside."


def counted(folders: Mapping[str, Folder], above: str = "") -> list[str]:
    """Each folder with its number of photos, sorted by name; `above` is the folder in which they lie."""
    start = f"{above}/" if above else ""
    return [f"{start}{name}: {pluralize(len(folder.photos), 'photo')}" for name, folder in sorted(folders.items())]


def listed(entries: Sequence[str], most: int = _MOST_LISTED) -> str:
    """The first entries, and how many more there are."""
    return "; ".join(entries[:most]) + (f"; and {len(entries) - most} more" if len(entries) > most else "")
