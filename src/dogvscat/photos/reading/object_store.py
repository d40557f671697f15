"""Photos in object stores and other systems that the library fsspec reads by URL.

For example s3://bucket/folder, gs://, https://, file://, or zip://::s3://bucket/photos.zip for a zip inside a store.
"""

import re
from dataclasses import dataclass
from typing import Any

from dogvscat.errors import DataError, ImageError, UsageError
from dogvscat.photos.decoding.decoder import MAX_FILE_BYTES
from dogvscat.photos.reading.folders import has_photo_suffix, is_passed_over


@dataclass(frozen=True)
class PhotoListing:
    """The photos that a URL names."""

    urls: list[str]
    """One URL per photo, sorted."""
    skipped: int
    """Number of objects that are hidden or whose suffix is not that of a photo."""


def is_url(path: str) -> bool:
    """Whether a path is a URL; `C:/photos` is not."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def list_photos(url: str) -> PhotoListing:
    """The photos at any depth of a folder or prefix, or the single object that a URL names.

    A single object is listed without checking that it exists; reading it reports the error.

    Raises:
        UsageError: if fsspec does not know the protocol, or its driver is not installed.
        DataError: if the store cannot be listed.
    """
    store, root = _open_store(url)
    try:
        if not store.isdir(root):
            return PhotoListing([url], 0)
        paths = sorted(store.find(root))
    except Exception as error:  # each driver has exceptions of its own
        raise DataError(f"{url} cannot be listed: {_first_line(error)}") from None
    parts = {path: path.removeprefix(root).lstrip("/").split("/") for path in paths}
    photos = [path for path in paths if has_photo_suffix(parts[path][-1]) and not any(map(is_passed_over, parts[path]))]
    # unstrip_protocol names the path inside the innermost system only. For zip://::file:///photos.zip, the location of
    # the zip has to be appended again.
    chain = url[url.index("::") :] if "::" in url else ""
    return PhotoListing([f"{store.unstrip_protocol(path)}{chain}" for path in photos], len(paths) - len(photos))


def read_object(url: str) -> bytes:
    """The bytes of one photo; its size is checked before it is read.

    Raises:
        ImageError: with code `not_found`, `permission`, `too_large` or `unreadable`.
    """
    try:
        store, path = _open_store(url)
        num_bytes = store.size(path)
        if num_bytes is not None and num_bytes > MAX_FILE_BYTES:
            raise ImageError(url, "too_large", f"has {num_bytes:,} bytes, at most {MAX_FILE_BYTES:,} are read")
        with store.open(path, "rb") as file:
            data = bytes(file.read(MAX_FILE_BYTES + 1))  # some stores do not report a size
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(url, "not_found", "there is no such object") from None
    except PermissionError:
        raise ImageError(url, "permission", "cannot be read: this user has no permission") from None
    except Exception as error:  # each driver has exceptions of its own
        raise ImageError(url, "unreadable", f"cannot be read: {_first_line(error)}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(url, "too_large", f"has more than {MAX_FILE_BYTES:,} bytes; larger files are not read")
    return data


def _open_store(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path inside it."""
    from fsspec.core import url_to_fs

    if url.startswith("memory://"):
        hint = "Give a store that every process can reach, such as file:// or s3://."
        raise UsageError(f"{url} is in the memory of one process, but photos are read by several processes", hint=hint)
    try:
        store, path = url_to_fs(url)
    except (ImportError, ValueError) as error:  # no driver is installed; unknown protocol
        raise UsageError(
            f"{url} cannot be reached: {_first_line(error)}", hint="Install the fsspec driver of this protocol."
        ) from None
    except Exception as error:  # for example missing credentials
        raise DataError(f"{url} cannot be reached: {_first_line(error)}") from None
    return store, str(path)


def _first_line(error: Exception) -> str:
    """The first line of an error's message, because drivers append pages of details; its type if it has none."""
    message = str(error).strip()
    return message.splitlines()[0] if message else type(error).__name__
