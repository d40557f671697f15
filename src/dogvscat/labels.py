"""Class names: which class a folder stands for, and which class is the positive one.

Labels are matched by name, never by the order in which a file system lists the folders. Class names are sorted: label 0
is the first name, and label 1, the positive class, is the second. For `("cat", "dog")` the positive class is `dog`.
"""

from collections.abc import Iterable

ClassNames = tuple[str, str]
"""Names of the negative and the positive class."""

CAT_AND_DOG: ClassNames = ("cat", "dog")
UNSURE = "unsure"
"""Answer where the network is not certain enough; never a label."""
NEITHER = "neither"
"""Label of photos that show neither class. It is not a class: no network answers it."""
NEITHER_NAMES: ClassNames = (NEITHER, NEITHER)
"""Class names of a collection of photos that show neither class."""

_KNOWN = {"cat": "cat", "cats": "cat", "dog": "dog", "dogs": "dog"}


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
