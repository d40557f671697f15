"""Names and numbers as they may be shown: whoever named a file does not decide what a terminal says."""


def printable(text: str) -> str:
    """The text with everything that cannot be shown written as an escape: control characters, direction overrides,
    and bytes of file names that are not UTF-8 (`\\xff`)."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def counted(count: int, noun: str) -> str:
    """A number with what it counts: `1 photo`, `2,500 photos`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python carries an undecodable byte
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
