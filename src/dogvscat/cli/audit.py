"""`dogvscat audit`: what is wrong with the photos, before a network learns it."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.speaking import say, show, show_json


def command(
    photos: Annotated[Path, typer.Argument(help="A folder or zip with one folder a class.")],
    out: Annotated[Path | None, typer.Option(help="Write issues.csv and audit.html here.")] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 3 if there is an issue of this kind, or `any`; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Find broken, doubled, doubtful and blank photos. Changes none of them."""
    from dogvscat.cli.extras import need_train_extra
    from dogvscat.errors import DataError, UsageError

    need_train_extra()
    from dogvscat.photos.audit import KIND_MEANS, audit_photos, write_audit
    from dogvscat.photos.sources import open_photos
    from dogvscat.writing import refuse_unwritable

    for kind in fail_on or []:
        if kind != "any" and kind not in KIND_MEANS:
            raise UsageError(f"there is no kind of issue {kind!r}, expected any or one of {', '.join(KIND_MEANS)}")
    source = open_photos(photos)
    if out is not None:
        refuse_unwritable(out)
    audit = audit_photos(source)
    if out is not None:
        write_audit(out, audit, source)
    counts = audit.count_kinds()
    if as_json:
        show_json({"photos": audit.count_classes(), "skipped": audit.skipped, "issues": counts})
    else:
        show(", ".join(f"{count:,} {name}" for name, count in audit.count_classes().items()))
        for kind, count in counts.items():
            show(f"  {kind:<17} {count:>7,}   {KIND_MEANS[kind] if count else ''}".rstrip())
        say(f"Look at {out}/audit.html" if out else "Add --out DIR for a page with the pictures and a table of issues.")
    failing = sum(count for kind, count in counts.items() if kind in (fail_on or []) or "any" in (fail_on or []))
    return DataError.exit_code if failing else 0
