"""`dogvscat audit`: find what is wrong with the photos before a network learns from them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.options import DEFAULT_RECIPE, AsJson, LabelledPhotos, Settings
from dogvscat.cli.output import report, show, show_json
from dogvscat.errors import DataError, UsageError
from dogvscat.text import pluralize, shell_word

if TYPE_CHECKING:  # --help does not wait for these imports
    from dogvscat.config import Config
    from dogvscat.judging.intervals import MetricValue
    from dogvscat.photos.audit import Audit

_DEFAULT_FOLDS = 5
_GIVEAWAY = "giveaway"
"""What --fail-on calls a fact about the files that tells the class; it is an issue of no single photo."""


def command(
    photos: LabelledPhotos,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write issues.csv and audit.html here.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Exit with code 3 if an issue of this kind is found, such as near_duplicate; `giveaway`: if facts "
            "about the files tell the class; `any`: any of these. May be repeated.",
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Also look for wrong labels and for photos that show neither class, and write relabel.csv. Each photo "
            "is checked by a network that was trained on other photos. Takes as long as training --folds networks; "
            "after a stop, the same command resumes.",
        ),
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="With --labels: recipe of the networks that check the labels.",
            show_default=DEFAULT_RECIPE,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="With --labels: number of networks.", min=2, max=50, show_default=str(_DEFAULT_FOLDS)),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> int:
    """Find broken, duplicate, doubtful and blank photos, and files that tell the class. The photos are not changed.

    --recipe and --set apply to the networks that --labels trains to check the labels.
    """
    if labels:
        from dogvscat.cli.extras import need_train_extra

        need_train_extra("cleanlab")
    from dogvscat.atomic import refuse_unwritable
    from dogvscat.photos.audit import audit_photos, write_audit
    from dogvscat.photos.sources import open_photos

    # Wrong options are refused before the photos are opened.
    _refuse_unknown_kinds(fail_on or [], labels)
    config = _label_config(labels, out, recipe, folds, settings)
    source = open_photos(photos)
    if out is not None:
        refuse_unwritable(out)
    audit, agreement, weak = audit_photos(source), None, False  # weak: networks too poor to trust on labels
    if config is not None and out is not None:
        from dogvscat.learning.label_audit.label_evidence import audit_labels

        evidence = audit_labels(source, config, folds or _DEFAULT_FOLDS, out, report)
        audit, agreement, weak = audit.with_label_evidence(evidence.issues), evidence.agreement, evidence.weak
    if out is not None:
        write_audit(out, audit, source)  # whatever --fail-on says: the page shows what is wrong
    _show(audit, agreement, out, as_json)
    if agreement and not weak and not as_json and out is not None:
        table = shell_word(out / "relabel.csv")
        report(f"Delete the rows of {table} that you disagree with, then: dogvscat train PHOTOS --relabel {table}")
    refused_kinds = set(fail_on or [])
    counts = audit.count_kinds() | {_GIVEAWAY: len(audit.giveaways)}
    failing = [kind for kind, count in counts.items() if count and refused_kinds & {kind, "any"}]
    return DataError.exit_code if failing else 0


def _refuse_unknown_kinds(fail_on: list[str], labels: bool) -> None:
    from dogvscat.photos.audit import KIND_MEANINGS
    from dogvscat.photos.issues import LABEL_KINDS

    known_kinds = (*KIND_MEANINGS, _GIVEAWAY)
    for kind in fail_on:
        if kind != "any" and kind not in known_kinds:
            raise UsageError(f"there is no kind of issue {kind!r}, expected any or one of {', '.join(known_kinds)}")
        if kind in LABEL_KINDS and not labels:
            raise UsageError(f"{kind} needs --labels", hint="Add --labels, or choose another --fail-on.")


def _label_config(
    labels: bool, out: Path | None, recipe: str | None, folds: int | None, settings: list[str] | None
) -> "Config | None":
    """The settings of the networks that check the labels; None without --labels."""
    if not labels:
        if recipe or folds or settings:
            raise UsageError("--recipe, --folds and --set need --labels: they set up the networks that check labels")
        return None
    if out is None:
        raise UsageError("--labels needs --out FOLDER", hint="The networks and relabel.csv are kept there.")
    from dogvscat.learning.label_audit.out_of_fold import fold_config
    from dogvscat.settings import resolve_config

    return fold_config(resolve_config(recipe or DEFAULT_RECIPE, None, settings or []))


def _show(audit: "Audit", agreement: "MetricValue | None", out: Path | None, as_json: bool) -> None:
    from dogvscat.photos.audit import KIND_MEANINGS

    counts = audit.count_kinds()
    for note in audit.notes:
        report(note)
    if audit.skipped:
        report(f"{pluralize(audit.skipped, 'file')} skipped: no photos by their names, or in no class folder.")
    if as_json:
        giveaways = [asdict(giveaway) for giveaway in audit.giveaways]
        document = {"photos": audit.count_classes(), "skipped": audit.skipped, "issues": counts, "giveaways": giveaways}
        show_json(document | ({"label_agreement": asdict(agreement)} if agreement else {}))
        return
    if audit.is_synthetic:
        report("These are drawings, not photographs.")
    show(", ".join(f"{count:,} {name}" for name, count in audit.count_classes().items()))
    for kind, count in counts.items():
        show(f"  {kind:<17} {count:>7,}   {KIND_MEANINGS[kind] if count else ''}".rstrip())
    for giveaway in audit.giveaways:
        show(f"Giveaway: {giveaway.sentence()}")
    if agreement:
        from dogvscat.judging.intervals import as_percent  # it takes a second to import

        show(f"Out of fold, the networks agree with {as_percent(agreement)} of {agreement.n:,} labels.")
    report(f"Look at {out}/audit.html" if out else "Add --out FOLDER for a page with the photos and a table of issues.")
