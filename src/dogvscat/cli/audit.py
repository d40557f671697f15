"""`dogvscat audit`: what is wrong with the photos, before a network learns it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.output import report, show, show_json
from dogvscat.errors import DataError, UsageError

if TYPE_CHECKING:  # the command's help does not wait for the rest
    from dogvscat.config import Config
    from dogvscat.judging.intervals import Figure
    from dogvscat.photos.audit import Audit

_RECIPE, _FOLDS = "fast", 5


def command(
    photos: Annotated[Path, typer.Argument(help="A folder or zip with one folder a class.")],
    out: Annotated[Path | None, typer.Option(help="Write issues.csv and audit.html here.")] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 3 if there is an issue of this kind, or `any`; repeatable.")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Also look for wrong labels and photos of neither, by networks trained on the other photos, and write "
            "relabel.csv. Takes as long as --folds trainings; after a stop, the same command goes on.",
        ),
    ] = False,
    recipe: Annotated[str | None, typer.Option(help="With --labels: what those networks are. Default: fast.")] = None,
    folds: Annotated[int | None, typer.Option(help="With --labels: how many. Default: 5.", min=2, max=50)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="With --labels: one setting of the recipe; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Find broken, doubled, doubtful and blank photos. Changes none of them."""
    from dogvscat.cli.extras import need_train_extra

    need_train_extra(*(["cleanlab"] if labels else []))
    from dogvscat.atomic import refuse_unwritable
    from dogvscat.photos.audit import audit_photos, write_audit
    from dogvscat.photos.sources import open_photos

    _refuse_unknown_kinds(fail_on or [], labels)
    config = _label_config(labels, out, recipe, folds, settings)
    source = open_photos(photos)
    if out is not None:
        refuse_unwritable(out)
    audit, agreement, weak = audit_photos(source), None, False
    if config is not None and out is not None:
        from dogvscat.learning.label_audit.label_evidence import judge_labels

        evidence = judge_labels(source, config, folds or _FOLDS, out, report)
        audit, agreement, weak = audit.with_label_evidence(evidence.issues), evidence.agreement, evidence.weak
    if out is not None:
        write_audit(out, audit, source)
    _show(audit, agreement, out, as_json)
    if agreement and not weak and not as_json:
        table = f"{out}/relabel.csv"
        report(f"Delete from {table} what you disagree with, then: dogvscat train PHOTOS --relabel {table}")
    counts = audit.count_kinds()
    failing = sum(count for kind, count in counts.items() if kind in (fail_on or []) or "any" in (fail_on or []))
    return DataError.exit_code if failing else 0


def _refuse_unknown_kinds(fail_on: list[str], labels: bool) -> None:
    from dogvscat.photos.audit import KIND_MEANS
    from dogvscat.photos.issues import LABEL_KINDS

    for kind in fail_on:
        if kind != "any" and kind not in KIND_MEANS:
            raise UsageError(f"there is no kind of issue {kind!r}, expected any or one of {', '.join(KIND_MEANS)}")
        if kind in LABEL_KINDS and not labels:
            raise UsageError(f"{kind} is looked for with --labels only", hint="Add --labels, or another --fail-on.")


def _label_config(
    labels: bool, out: Path | None, recipe: str | None, folds: int | None, settings: list[str] | None
) -> "Config | None":
    """The settings of the networks that judge labels, None if none are to."""
    if not labels:
        if recipe or folds or settings:
            raise UsageError("--recipe, --folds and --set are about the networks of --labels, which was not given")
        return None
    if out is None:
        raise UsageError("--labels needs --out DIR", hint="The networks and relabel.csv are kept there.")
    from dogvscat.learning.label_audit.out_of_fold import fold_config
    from dogvscat.settings import resolve_config

    return fold_config(resolve_config(recipe or _RECIPE, None, settings or []))


def _show(audit: "Audit", agreement: "Figure | None", out: Path | None, as_json: bool) -> None:
    from dogvscat.judging.intervals import as_percent
    from dogvscat.photos.audit import KIND_MEANS

    counts = audit.count_kinds()
    if as_json:
        document = {"photos": audit.count_classes(), "skipped": audit.skipped, "issues": counts}
        show_json(document | ({"label_agreement": agreement.to_dict()} if agreement else {}))
        return
    if audit.is_synthetic:
        report("Drawn sample, not photographs.")
    show(", ".join(f"{count:,} {name}" for name, count in audit.count_classes().items()))
    for kind, count in counts.items():
        show(f"  {kind:<17} {count:>7,}   {KIND_MEANS[kind] if count else ''}".rstrip())
    if agreement:
        show(f"Out of fold, the networks agree with {as_percent(agreement)} of {agreement.n:,} labels.")
    report(f"Look at {out}/audit.html" if out else "Add --out DIR for a page with the pictures and a table of issues.")
