"""`SHA256SUMS`: the sha256 of every file of a bundle. Its own sha256, the digest, is the bundle's identity.

The format is that of GNU coreutils, so `sha256sum --check SHA256SUMS` checks a bundle without this program. Only one
content of this file is valid for a bundle: its lines are sorted by name, and nothing else is in it. So a change of any
byte, in it or in a file that it lists, is detected.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dogvscat.errors import ModelError

CHECKSUMS_FILE = "SHA256SUMS"
MOST_CHECKSUM_BYTES = 16 * 1024  # a bundle has a dozen files

_LINE = re.compile(r"([0-9a-f]{64})  ((?:[A-Za-z0-9_]+/)?[A-Za-z0-9_]+\.[a-z0-9]+)")
"""A sha256 and a path such as `golden/1.png`: nothing that leads out of the bundle."""


@dataclass(frozen=True)
class Checksums:
    """The sha256 of every file of a bundle, as 64 hexadecimal digits, by path relative to the bundle."""

    by_name: Mapping[str, str]

    def serialize(self) -> bytes:
        """The content of the file."""
        return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(self.by_name.items())).encode()

    @property
    def digest(self) -> str:
        """sha256 of the content: 64 hexadecimal digits that differ if any byte of the bundle differs."""
        return hashlib.sha256(self.serialize()).hexdigest()


def compute_checksums(files: Mapping[str, bytes]) -> Checksums:
    """The checksums of files, by path relative to the bundle."""
    return Checksums({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def parse_checksums(data: bytes, origin: str) -> Checksums:
    """The checksums from the content of the file.

    Args:
        data: The content.
        origin: Where it came from, for errors.

    Raises:
        ModelError: if `Checksums.serialize` would not write exactly these bytes.
    """
    lines = data.decode("ascii", "replace").split("\n")
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]  # the last line end is followed by nothing
    checksums = Checksums({match[2]: match[1] for match in matches if match})
    if checksums.serialize() != data:
        number = next((number for number, match in enumerate(matches, start=1) if not match), len(lines))
        raise ModelError(
            f"{origin} is damaged: expected lines with a sha256 and a name, sorted by name, received other text "
            f"around line {number}",
            hint="Copy the whole bundle again, or train the network again.",
        )
    return checksums
