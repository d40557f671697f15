"""Photos in object stores and other places that fsspec reaches by URL: s3://, gs://, https://, file://, zip://...::..."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dogvscat.errors import DataError, ImageError, UsageError
from dogvscat.photos.decoder import MAX_FILE_BYTES, PHOTO_SUFFIXES


@dataclass(frozen=True)
class FoundObjects:
    """What a URL means."""

    urls: list[str]
    """One a photo, sorted."""
    skipped: int
    """Objects that are no photos by their suffix."""


def is_url(path: str) -> bool:
    """Whether a path names something that fsspec reaches."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def find_objects(url: str) -> FoundObjects:
    """The photos below a folder or prefix, or the one object that a URL names, whether it exists or not.

    Raises:
        UsageError: if fsspec knows no such protocol, or its driver is not installed.
        DataError: if the store cannot be asked.
    """
    store, root = _store(url)
    try:
        if not store.isdir(root):
            return FoundObjects([url], 0)
        found = sorted(store.find(root))
    except Exception as error:  # every driver has kinds of its own
        raise DataError(f"{url} cannot be listed: {_in_words(error)}") from None
    inside = {path: path.removeprefix(root).lstrip("/").split("/") for path in found}
    seen = [path for path, parts in inside.items() if not any(part.startswith(".") for part in parts)]
    photos = [path for path in seen if PurePosixPath(path).suffix.lower() in PHOTO_SUFFIXES]
    chain = url[url.index("::") :] if "::" in url else ""  # zip://::file:///photos.zip: the place of the archive
    return FoundObjects([f"{store.unstrip_protocol(path)}{chain}" for path in photos], len(found) - len(photos))


def read_object(url: str) -> bytes:
    """The bytes of one photo, checked for size before it is read.

    Raises:
        ImageError: with code `not_found`, `permission`, `too_large` or `unreadable`.
    """
    try:
        store, path = _store(url)
        num_bytes = store.size(path)
        if num_bytes is not None and num_bytes > MAX_FILE_BYTES:
            raise ImageError(url, "too_large", f"has {num_bytes:,} bytes, at most {MAX_FILE_BYTES:,} are read")
        with store.open(path, "rb") as file:
            data = bytes(file.read(MAX_FILE_BYTES + 1))  # a store may not know the size
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(url, "not_found", "there is no such object") from None
    except PermissionError:
        raise ImageError(url, "permission", "may not be read by this user") from None
    except Exception as error:  # every driver has kinds of its own
        raise ImageError(url, "unreadable", f"cannot be read: {_in_words(error)}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(url, "too_large", f"has more than {MAX_FILE_BYTES:,} bytes, which are not read")
    return data


def _store(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it."""
    from fsspec.core import url_to_fs

    if url.startswith("memory://"):
        raise UsageError(f"{url} lies in the memory of one process, and photos are read by many")
    try:
        store, path = url_to_fs(url)
    except (ImportError, ValueError) as error:  # no driver; no such protocol
        raise UsageError(
            f"{url} cannot be reached: {_in_words(error)}", hint="Install fsspec's driver for it."
        ) from None
    except Exception as error:  # such as credentials that are missing
        raise DataError(f"{url} cannot be reached: {_in_words(error)}") from None
    return store, str(path)


def _in_words(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
