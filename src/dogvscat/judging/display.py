"""How names and numbers are worded in figures and reports."""

from dogvscat.text import counted, printable


def shortened(text: str, limit: int) -> str:
    """The text cut at the front to `limit` characters; the end of a path tells pictures apart."""
    return text if len(text) <= limit else "…" + text[len(text) - limit + 1 :]


def num_pictures(n: int, split: str) -> str:
    """How many pictures of which split: `1 training picture`, `2,500 validation pictures`, `7 pictures` for `all`."""
    return counted(n, " ".join(word for word in (split_words(split), "picture") if word))


def split_words(split: str) -> str:
    """A split as it stands before "pictures": `training` for `train`, nothing for `all`."""
    return {"train": "training", "all": ""}.get(split, printable(split))
