"""Bearer tokens (RFC 6750): a file with one token per line, compared in constant time."""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from dogvscat.errors import UsageError

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
"""As RFC 6750 allows, and long enough that nobody guesses it."""
_HINT = """Make one: python3 -c "import secrets; print(secrets.token_urlsafe())" > tokens.txt"""
_SCHEME = "bearer "


def read_token_digests(file: Path) -> tuple[bytes, ...]:
    """The sha256 of each token in a file. Empty lines and lines that start with `#` are skipped.

    Raises:
        UsageError: if the file cannot be read, has no token, or has a line that is not a token.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it is not UTF-8 text"
        raise UsageError(f"--token-file: cannot read {file}: {reason}", hint=_HINT) from None
    tokens = {number: line.strip() for number, line in enumerate(lines, start=1)}
    tokens = {number: token for number, token in tokens.items() if token and not token.startswith("#")}
    if not tokens:
        raise UsageError(f"--token-file: {file} has no token, expected one per line", hint=_HINT)
    for number, token in tokens.items():
        if not _TOKEN.fullmatch(token):  # the token itself must not appear in a terminal or log
            message = (
                f"--token-file: line {number} of {file} is not a token: expected at least 16 letters, digits or -._~+/"
            )
            raise UsageError(message, hint=_HINT)
    return tuple(sha256(token.encode()).digest() for token in tokens.values())


def matching_digest(authorization: str, digests: Sequence[bytes]) -> bytes | None:
    """The digest of the token in an Authorization header, if it is one of these; else None.

    The time that this takes does not depend on how much of a token is right, nor on which token it is.
    """
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    digest = sha256(authorization[len(_SCHEME) :].strip().encode("latin-1", "replace")).digest()
    matches = [hmac.compare_digest(digest, known) for known in digests]  # all of them, whichever matches
    return digest if any(matches) else None
