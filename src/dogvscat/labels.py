"""Class names: how folders are matched to them and which one is positive.

Labels are always matched by name, never by the order in which folders happen to be listed. Class names are sorted, so
label 0 is the first by name and label 1, the positive class, the second: `("cat", "dog")`, positive `dog`.
"""

from collections.abc import Iterable

ClassNames = tuple[str, str]

CAT_AND_DOG: ClassNames = ("cat", "dog")
UNSURE = "unsure"
NEITHER = "neither"
"""Label of photos that show neither class; not a class itself."""
NEITHER_NAMES: ClassNames = (NEITHER, NEITHER)
"""The class names of a collection of such photos."""

_KNOWN = {"cat": "cat", "cats": "cat", "dog": "dog", "dogs": "dog"}


def class_name(folder: str) -> str:
    """The class a folder name stands for: `Cats` is `cat`; names other than cats and dogs are kept as they are."""
    return _KNOWN.get(folder.strip().lower(), folder)


def is_cat_or_dog(name: str) -> bool:
    """Whether a folder or file-name prefix is one of the spellings of cat and dog."""
    return name.strip().lower() in _KNOWN


def sorted_class_names(names: Iterable[str]) -> ClassNames:
    """Two class names in label order.

    Raises:
        ValueError: if there are not exactly two different names.
    """
    ordered = sorted(set(names))
    if len(ordered) != 2:
        raise ValueError(f"expected two class names, received {ordered}")
    return ordered[0], ordered[1]
