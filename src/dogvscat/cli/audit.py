"""`dogvscat audit`: find what is wrong with the photos before a network learns from them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.options import (
    DEFAULT_RECIPE,
    AsJson,
    ClassFolders,
    Isolate,
    LabeledPhotos,
    Settings,
    parse_class_folders,
)
from dogvscat.cli.output import report, show, show_json
from dogvscat.cli.review_page import ReviewPage
from dogvscat.errors import DataError, UsageError
from dogvscat.text import pluralize, shell_word

if TYPE_CHECKING:  # --help does not wait for these imports
    from dogvscat.config import Config
    from dogvscat.learning.label_audit.label_evidence import LabelEvidence
    from dogvscat.photos.audit import Audit

_DEFAULT_FOLDS = 5
_GIVEAWAY = "giveaway"
"""The word of --fail-on for facts about the files that reveal the class. They are not issues of single photos."""


def command(
    photos: LabeledPhotos,
    class_names: ClassFolders = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write issues.csv and audit.html here.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Exit with code 3 if an issue of this kind is found, such as near_duplicate. `giveaway` stands for "
            "facts about the files that reveal the class, `any` for every kind. May be repeated.",
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Also look for wrong labels and for photos that show neither class, and write relabel.csv. Each photo "
            "is checked by a network that was trained on other photos. --folds is the number of networks to train; "
            "after a stop, the same command resumes. With --model no network is trained, which is faster.",
        ),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="With --labels: check the labels with this trained model instead of training networks, for example "
            "with `best`, the bundled model. A run folder, a bundle folder, or the name of a bundled model.",
        ),
    ] = None,
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
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="With --labels: then show the suspected photos one by one on a web page of this machine, where one "
            "key decides each. Every decision is written to relabel.csv immediately; after a stop, the same command "
            "continues. Needs the extra `serve`.",
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --serve: port to listen on; 0 for any free port.")
    ] = 8001,
    isolate: Isolate = False,
    as_json: AsJson = False,
) -> int:
    """Find broken, duplicate, odd and blank photos, and facts about the files that reveal the class.

    The photos are not changed.

    --recipe and --set apply to the networks that --labels trains to check the labels.
    """
    # Wrong options, and a port in use, are refused before the photos are opened.
    page = None
    if serve:
        if not labels or out is None:
            raise UsageError("--serve needs --labels --out FOLDER", hint="The decisions are kept in FOLDER.")
        if fail_on or as_json:
            raise UsageError("--serve is for a person, --fail-on and --json are for programs", hint="Use one of them.")
        page = ReviewPage(photos, class_names, out, port)
        if page.has_suspects:
            return page.serve()
    if labels:
        from dogvscat.api.extras import need_train_extra

        need_train_extra("cleanlab")
    _refuse_unknown_kinds(fail_on or [], labels)
    checker = _label_checker(labels, out, model, recipe, folds, settings)
    class_folders = parse_class_folders(class_names)
    evidence = None
    # --fail-on comes after the results are written: the page shows what is wrong.
    if checker is not None and out is not None:
        audit, evidence = _audit_with_labels(photos, class_folders, out, isolate, checker, folds or _DEFAULT_FOLDS)
    else:
        from dogvscat.api.functions import audit as audit_photos

        audit = audit_photos(photos, out=out, class_folders=class_folders, isolate=isolate)
    _show(audit, evidence, out, as_json)
    if audit.labels_checked and not as_json and out is not None:
        if page is not None:
            return page.serve()
        table = shell_word(out / "relabel.csv")
        report(f"Delete the rows of {table} that you disagree with, then: dogvscat train PHOTOS --relabel {table}")
        report("To decide each photo with one key instead, run the same command with --serve.")
    return DataError.exit_code if _fails(audit, set(fail_on or []), labels) else 0


def _audit_with_labels(
    photos: Path, class_folders: dict[str, str], out: Path, isolate: bool, checker: "Config | Path", folds: int
) -> "tuple[Audit, LabelEvidence]":
    """Write the results of the audit and of the check of the labels.

    Args:
        checker: From `_label_checker`.
    """
    from dogvscat.atomic import refuse_unwritable
    from dogvscat.learning.label_audit.label_evidence import audit_labels, audit_labels_with_model
    from dogvscat.locks import exclusive
    from dogvscat.photos.audit import audit_photos, write_audit
    from dogvscat.photos.reading.sources import open_photos

    source = open_photos(photos, class_folders)
    refuse_unwritable(out)
    with exclusive(out, lock_outside=True):
        audit = audit_photos(source, isolate=isolate)
        if isinstance(checker, Path):
            evidence = audit_labels_with_model(source, checker, out, report)
        else:
            evidence = audit_labels(source, checker, folds, out, report)
        if not evidence.weak:
            audit = audit.with_label_evidence(evidence.issues)
        write_audit(out, audit, source)
    return audit, evidence


def _fails(audit: "Audit", refused_kinds: set[str], labels: bool) -> bool:
    """Whether an issue of a kind that --fail-on names was found, or could not be searched for."""
    from dogvscat.photos.issues import LABEL_KINDS

    if labels and not audit.labels_checked and refused_kinds & {*LABEL_KINDS, "any"}:
        report("error: the labels could not be checked, so --fail-on counts them as wrong")
        return True
    counts = audit.count_kinds() | {_GIVEAWAY: len(audit.giveaways)}
    return any(count and refused_kinds & {kind, "any"} for kind, count in counts.items())


def _refuse_unknown_kinds(fail_on: list[str], labels: bool) -> None:
    from dogvscat.photos.audit import KIND_MEANINGS
    from dogvscat.photos.issues import LABEL_KINDS

    known_kinds = (*KIND_MEANINGS, _GIVEAWAY)
    for kind in fail_on:
        if kind != "any" and kind not in known_kinds:
            raise UsageError(f"there is no kind of issue {kind!r}, expected any or one of {', '.join(known_kinds)}")
        if kind in LABEL_KINDS and not labels:
            raise UsageError(f"{kind} needs --labels", hint="Add --labels, or choose another --fail-on.")


def _label_checker(
    labels: bool,
    out: Path | None,
    model: Path | None,
    recipe: str | None,
    folds: int | None,
    settings: list[str] | None,
) -> "Config | Path | None":
    """What checks the labels: the settings of networks to train, or a trained model; None without --labels."""
    if not labels:
        if recipe or folds or settings or model:
            message = "--model, --recipe, --folds and --set need --labels: they choose the networks that check labels"
            raise UsageError(message)
        return None
    if out is None:
        raise UsageError("--labels needs --out FOLDER", hint="The networks and relabel.csv are kept there.")
    if model is not None:
        if recipe or folds or settings:
            message = "--recipe, --folds and --set describe networks to train, but with --model none are trained"
            raise UsageError(message, hint="Leave them out, or leave out --model.")
        return model
    from dogvscat.learning.label_audit.out_of_fold import fold_config
    from dogvscat.settings.resolve import resolve_config

    return fold_config(resolve_config(recipe or DEFAULT_RECIPE, None, settings or []))


def _show(audit: "Audit", evidence: "LabelEvidence | None", out: Path | None, as_json: bool) -> None:
    from dogvscat.photos.audit import KIND_MEANINGS

    counts = audit.count_kinds()
    for note in audit.notes:
        report(note)
    if audit.skipped:
        files = pluralize(audit.skipped, "file")
        report(f"Skipped {files}: hidden, without the suffix of a photo, or outside of the class folders.")
    if as_json:
        giveaways = [asdict(giveaway) for giveaway in audit.giveaways]
        document = {"photos": audit.count_classes(), "skipped": audit.skipped, "issues": counts, "giveaways": giveaways}
        if evidence:
            document |= {"labels_checked": audit.labels_checked, "label_agreement": asdict(evidence.agreement)}
        show_json(document)
        return
    if audit.is_synthetic:
        report("These are drawings, not photographs.")
    show(", ".join(f"{count:,} {name}" for name, count in audit.count_classes().items()))
    for kind, count in counts.items():
        show(f"  {kind:<17} {count:>7,}   {KIND_MEANINGS[kind] if count else ''}".rstrip())
    for giveaway in audit.giveaways:
        show(f"Giveaway: {giveaway.sentence()}")
    if evidence:
        from dogvscat.judging.intervals import as_percent  # it takes a second to import

        agreement = f"{as_percent(evidence.agreement)} of {evidence.agreement.n:,} labels"
        show(f"Networks that did not learn from these photos agree with {agreement}.")
    report(f"Look at {out}/audit.html" if out else "Add --out FOLDER for a page with the photos and a table of issues.")
