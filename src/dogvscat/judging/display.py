"""File and class names as they may be shown: whoever named a file does not decide what a page or a picture says."""


def printable(text: str) -> str:
    """The text with everything that cannot be shown written as an escape: control characters, direction overrides,
    and bytes of file names that are not UTF-8 (`\\xff`)."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def shortened(text: str, limit: int) -> str:
    """The text cut at the front to `limit` characters; the end of a path tells pictures apart."""
    return text if len(text) <= limit else "…" + text[len(text) - limit + 1 :]


def num_pictures(n: int, split: str) -> str:
    """How many pictures of which split: `1 training picture`, `2,500 validation pictures`, `7 pictures` for `all`."""
    return " ".join(word for word in (f"{n:,}", split_words(split), "picture" if n == 1 else "pictures") if word)


def split_words(split: str) -> str:
    """A split as it stands before "pictures": `training` for `train`, nothing for `all`."""
    return {"train": "training", "all": ""}.get(split, printable(split))


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python carries an undecodable byte
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
