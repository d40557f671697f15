"""`dogvscat cache`: show and clear what is kept in DOGVSCAT_HOME."""

from typing import Annotated

import typer

from dogvscat import caches
from dogvscat.cli.options import AsJson
from dogvscat.cli.output import report, show, show_json
from dogvscat.errors import UsageError


def command(
    clear: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Delete the content of this cache; `all` for every cache. May be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the caches and their sizes, or clear them. Runs and your own photos are never deleted.

    Downloaded archives of photos are in the cache `archives`.

    The caches are in DOGVSCAT_HOME, by default the user's cache folder.
    """
    for name in clear or []:  # all names are checked before anything is deleted
        if name != "all" and name not in caches.PURPOSES:
            raise UsageError(f"there is no cache {name!r}, expected all or one of {', '.join(caches.PURPOSES)}")
    for name in caches.PURPOSES:
        if name in (clear or []) or "all" in (clear or []):
            report(f"{name}: {_size_in_units(caches.clear(name))} freed")
    sizes = caches.list_caches()
    if as_json:
        show_json({"home": str(caches.home()), "caches": {cache.name: cache.num_bytes for cache in sizes}})
        return
    show(f"{caches.home()}")
    for cache in sizes:
        show(f"  {cache.name:<10} {_size_in_units(cache.num_bytes):>10}  {cache.purpose}")


def _size_in_units(num_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):  # decimal units, as disks are sold
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} bytes"
