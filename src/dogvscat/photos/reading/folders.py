"""A tree of folders, built from paths without reading the disk, and what the name of each folder may mean."""

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from dogvscat.photos.decoding.decoder import PHOTO_SUFFIXES
from dogvscat.photos.reading.folder_names import (
    ANIMAL_WORDS,
    EVALUATION,
    FILLER_WORDS,
    PLAIN_WORDS,
    SPLIT_WORDS,
    SYSTEM_FOLDERS,
    TEST,
    TRAIN,
    VALIDATION,
)

_SEPARATORS = re.compile(r"[\s\d_.,;+&()\[\]-]+")
_MOST_LETTERS = 60
"""Longer than any word for an animal, even with accents that are characters of their own."""
_OLD_ENCODINGS = ("cp850", "cp1252", "cp866", "cp1251", "gb18030", "cp932", "cp949")
"""Of names in zips by programs that do not write UTF-8."""
# What the address of a download leaves after the suffix: ?w=500, %3Fw=500, on Windows @w=500, and Twitter's :large.
_AFTER_SUFFIX = re.compile(r"(?:[?@&#!:;]|%3f|%26|[_-](?:large|medium|small|orig)$).*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class FolderName:
    """What the name of a folder, or the start of a file name, may mean."""

    text: str
    """The name without blanks at its ends, in Unicode's composed form."""
    key: str
    """Equal for names that differ only in case, blanks and in how Unicode composes their letters."""
    animal: str | None
    """`cat` or `dog` if it is the word for one, in any language."""
    is_plain: bool
    """Whether it is one of `PLAIN_WORDS`."""
    split: str | None
    """The split if it names one and nothing else: `train2`, `val_images`."""
    mentioned_split: str | None
    """The split if one of its words names one: `pets_train`."""
    is_animal_split: bool
    """Whether all of its words name an animal or the split: `cats_train`."""


@dataclass
class Folder:
    """A folder with its subfolders and photos."""

    name: FolderName
    path: str
    """Relative; ends with a slash, except for the top folder."""
    known_class: str | None = None
    """The class that its name stands for, if it is the word for an animal or a name that the user mapped to a class."""
    is_certain: bool = False
    """Whether the name stands for that class whatever lies next to it: mapped by the user, or one of `PLAIN_WORDS`."""
    subfolders: dict[str, "Folder"] = field(default_factory=dict)
    filled: dict[str, "Folder"] = field(default_factory=dict)
    """The subfolders that have photos at any depth."""
    direct_photos: list[str] = field(default_factory=list)
    """Paths of the photos directly inside."""
    photos: list[str] = field(default_factory=list)
    """Paths of the photos at any depth."""
    starts: dict[str, list[str]] = field(default_factory=dict)
    """Paths of direct photos by the class that the start of their names stands for."""
    known_below: set[str] = field(default_factory=set)
    """The classes that names of folders below, or the starts of photos' names, stand for."""


@cache
def folder_name(name: str) -> FolderName:
    """What a name may mean."""
    key, word = name_key(name), _word_key(name)
    words = [part for part in _SEPARATORS.split(word) if part]
    splits = {split for part in words if (split := _split_word(part))}
    mentioned = TRAIN if splits == {TRAIN, VALIDATION} else splits.pop() if len(splits) == 1 else _splits().get(word)
    others = [part for part in words if part not in FILLER_WORDS and not _split_word(part)] if mentioned else []
    return FolderName(
        text=unicodedata.normalize("NFC", name).strip() or name,
        key=key,
        animal=_animal(name),
        is_plain=key in PLAIN_WORDS,
        split=mentioned if not others or word in _splits() else None,
        mentioned_split=mentioned,
        is_animal_split=bool(mentioned) and all(map(_animal, others)),
    )


def name_key(name: str) -> str:
    """A name without regard to case, to blanks around it, and to how Unicode composes its letters."""
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", name).casefold().split()))


def is_photo(path: str) -> bool:
    """Whether a relative path looks like a photo: by its suffix, and not hidden or among a system's own files."""
    folder, _, name = path.rpartition("/")
    return has_photo_suffix(name) and not is_passed_over(name) and not _is_inside_passed_over(folder)


@lru_cache  # many photos lie in one folder
def _is_inside_passed_over(folder: str) -> bool:
    return any(map(is_passed_over, folder.split("/")))


def has_photo_suffix(file_name: str) -> bool:
    """Whether a file name ends like that of a photo, also if the rest of a web address follows: `0.jpg?w=500`."""
    if _is_photo_suffix(posixpath.splitext(file_name)[1]):
        return True
    ends = (file_name[match.end() :] for match in re.finditer(r"\.", file_name))
    return any(f".{_AFTER_SUFFIX.sub('', end).lower()}" in PHOTO_SUFFIXES for end in ends if _AFTER_SUFFIX.search(end))


@lru_cache  # nearly all files have one of a few suffixes
def _is_photo_suffix(suffix: str) -> bool:
    return suffix.lower().strip() in PHOTO_SUFFIXES


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden, or one that the system made for itself."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def build_tree(photos: Iterable[str], folders: Iterable[str], class_folders: Mapping[str, str]) -> Folder:
    """The top folder of a tree of all folders that are not passed over.

    Args:
        photos: Paths for which `is_photo` holds.
        folders: Paths of folders, including empty ones and those of the photos.
        class_folders: The class of each name that the user mapped to one, by `name_key`.
    """
    photos_in: dict[str, list[str]] = {path: [] for path in folders if not any(map(is_passed_over, path.split("/")))}
    for path in photos:
        photos_in.setdefault(posixpath.dirname(path), []).append(path)
    top = Folder(folder_name(""), "")
    for path, direct_photos in sorted(photos_in.items()):
        branch = [top]  # from the top folder down to this one
        for name in path.split("/") if path else ():
            branch.append(_subfolder(branch[-1], name, class_folders))
        folder = branch[-1]
        folder.direct_photos += direct_photos
        for photo in direct_photos:
            if (word := _first_word(photo)) and (known := class_folders.get(word.key) or word.animal):
                folder.starts.setdefault(known, []).append(photo)
        known_classes = set(folder.starts)
        for above, below in zip([*branch[::-1][1:], None], branch[::-1], strict=True):
            below.photos += direct_photos
            below.known_below |= known_classes
            if above and direct_photos:
                above.filled[below.path.split("/")[-2]] = below
                known_classes |= {below.known_class} if below.known_class else set()
    return top


def _subfolder(folder: Folder, name: str, class_folders: Mapping[str, str]) -> Folder:
    """The subfolder of that name, created if it is new."""
    if name not in folder.subfolders:
        meaning = folder_name(name)
        mapped = class_folders.get(meaning.key)
        folder.subfolders[name] = Folder(
            meaning, f"{folder.path}{name}/", mapped or meaning.animal, mapped is not None or meaning.is_plain
        )
    return folder.subfolders[name]


def _first_word(path: str) -> FolderName | None:
    """What stands before the first dot of a file name: the class in Kaggle's names, such as `cat.0.jpg`."""
    start = posixpath.basename(path).split(".", 1)[0]
    # No word for an animal has a digit, but most names of photos do; such names need no look-up.
    return None if len(start) > _MOST_LETTERS or any(map(str.isdigit, start)) else folder_name(start)


def resolve_evaluation(splits: Mapping[str, str]) -> dict[str, str]:
    """Decides what folders named `eval` are for: testing if other folders are for validation and none is for testing,
    otherwise validation.

    Args:
        splits: From any key to a split.
    """
    kinds = set(splits.values())
    meaning = TEST if VALIDATION in kinds and TEST not in kinds else VALIDATION
    return {key: meaning if split == EVALUATION else split for key, split in splits.items()}


def _word_key(name: str) -> str:
    """The key without what a word may lose: accents, full-width forms, invisible characters, a hyphen."""
    text = unicodedata.normalize("NFKD", name_key(name).replace("-", " ").replace("_", " "))
    return " ".join("".join(char for char in text if not _is_droppable(char)).split())


def _is_droppable(char: str) -> bool:
    # The combining marks of Latin, Greek and Cyrillic. In other scripts, such as Devanagari, they are vowels.
    return "\u0300" <= char <= "\u036f" or unicodedata.category(char) == "Cf"


@cache
def _animals() -> dict[str, str]:
    """The animal of each word. Made at the first use, because not every command reads names."""
    return PLAIN_WORDS | {_word_key(word): animal for word, animal in ANIMAL_WORDS}


@cache
def _splits() -> dict[str, str]:
    return {_word_key(word): split for split, words in SPLIT_WORDS.items() for word in words.split(", ")}


def _animal(name: str) -> str | None:
    if animal := _animals().get(_word_key(name)):
        return animal
    if name.isascii() or not re.search("[\udc80-\udcff]", name):
        return None
    raw = name.encode("utf-8", "surrogateescape")
    for encoding in _OLD_ENCODINGS:
        if animal := _animals().get(_word_key(raw.decode(encoding, "replace"))):
            return animal
    return None


def _split_word(word: str) -> str | None:
    """The split of a single word, which may have a filler at its end: `trainset`."""
    if word in _splits():
        return _splits()[word]
    stems = (word.removesuffix(filler) for filler in FILLER_WORDS if word.endswith(filler))
    return next((_splits()[stem] for stem in stems if stem in _splits()), None)
