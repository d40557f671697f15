"""`dogvscat predict`: photos in, answers out. Never imports Keras."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat import stderr
from dogvscat.cli.options import Cluster
from dogvscat.cli.output import flush, report, show, show_json
from dogvscat.cli.photo_arguments import PhotoArguments
from dogvscat.errors import DataError, UsageError
from dogvscat.labels import NEITHER
from dogvscat.text import counted

if TYPE_CHECKING:
    from dogvscat.bundle.predict.predictor import Failure, Prediction, Predictor

    Answering = Callable[[Iterable[str]], Iterable[Prediction | Failure]]
    """From paths to answers in order."""


def command(
    photos: Annotated[list[str], typer.Argument(help="Files, folders, or - for a list of paths on stdin.")],
    model: Annotated[Path | None, typer.Option(help="A run folder, a bundle, or the name of a shipped one.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .csv, .jsonl or .parquet for the answers; given again, it goes on.")
    ] = None,
    cluster: Cluster = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Say what is on each photo, with its probabilities.

    A bad file never stops the rest; the exit code is 3 if any failed.
    """
    from dogvscat.bundle.predict.predictor import Predictor

    if out is not None:
        _check_out(out, as_json)
    predictor = Predictor.load(model)
    if predictor.card.origin.drawn_sample:
        report("This network learned from drawings, not photographs: its answers about photographs mean nothing.")
    arguments = PhotoArguments(photos, objects=cluster is not None)
    with _answering(predictor, cluster) as answering:
        if out is not None:
            return sum_up(arguments, _write_answers(predictor, answering, arguments, out))
        return sum_up(arguments, _show_answers(answering, arguments, as_json))


@contextmanager
def _answering(predictor: Predictor, cluster: str | None) -> Iterator[Answering]:
    """Who answers: this process, or a cluster."""
    if cluster is None:
        yield predictor.stream
        return
    from dogvscat.cli.extras import need_cluster_extra

    need_cluster_extra()
    from dogvscat.bundle.predict.cluster import answers_of_cluster
    from dogvscat.cluster import joined

    with joined(cluster):
        yield lambda paths: answers_of_cluster(predictor.bundle, paths)


def _show_answers(answering: Answering, arguments: PhotoArguments, as_json: bool) -> Counter[str]:
    """Answers on stdout; returns how often each label was given, failures as `error`."""
    from dogvscat.bundle.predict.predictor import Failure

    labels: Counter[str] = Counter()
    total = arguments.count() if stderr.on_terminal() else None
    for answer in stderr.track(answering(arguments.paths()), "Predicting", total):
        labels["error" if isinstance(answer, Failure) else answer.label] += 1
        if as_json:
            show_json(answer.to_dict())
        else:
            show_answer(answer)
    flush()
    return labels


def _write_answers(predictor: Predictor, answering: Answering, arguments: PhotoArguments, out: Path) -> Counter[str]:
    """Answers in a file; likewise, with those of earlier runs."""
    from dogvscat.bundle.predict.results import ResultsFile

    with ResultsFile(out, predictor.card.class_names, predictor.bundle.digest) as results:
        left = results.go_on(arguments.paths())
        if results.num_kept:
            report(f"{results.num_kept:,} photos have their answers in {out} already.")
        total = arguments.count() if stderr.on_terminal() else None
        num_left = None if total is None else total - results.num_kept
        for answer in stderr.track(answering(left), "Predicting", num_left):
            results.write(answer)
        results.finish()
    counts = ", ".join(f"{count:,} {label}" for label, count in sorted(results.labels.items()))
    report(f"{out} has {counted(results.labels.total(), 'answer')}: {counts}." if counts else f"{out} has no answers.")
    return results.labels


def _check_out(out: Path, as_json: bool) -> None:
    if as_json:
        hint = "Write JSON lines with: --out results.jsonl"
        raise UsageError("--json shows the answers, --out writes them into a file; give one of them", hint=hint)
    if out.suffix.lower() == ".parquet":
        from dogvscat.cli.extras import need_parquet_extra

        need_parquet_extra()


def show_answer(answer: Prediction | Failure, more: str = "") -> None:
    """One answer for people: on stdout, or what went wrong on stderr."""
    from dogvscat.bundle.predict.predictor import Failure

    if isinstance(answer, Failure):
        report(f"error: {answer.path}: {answer.message}" + (f" ({answer.hint})" if answer.hint else ""))
        return
    chances = answer.probabilities | ({} if answer.neither is None else {NEITHER: answer.neither})
    shown = "  ".join(f"{name} {probability:>6.1%}" for name, probability in chances.items())
    show(f"{answer.label:<8} {shown}  {answer.path}{more}")


def sum_up(arguments: PhotoArguments, labels: Counter[str]) -> int:
    """Say what was passed over and what failed; returns the exit code.

    Raises:
        DataError: if there was no photo at all.
    """
    if arguments.skipped:
        were = "was" if arguments.skipped == 1 else "were"
        report(f"{counted(arguments.skipped, 'file')} not named like a photo {were} skipped")
    if not labels.total():
        where = ", ".join(arguments.arguments[:3]) + ", ..." * (len(arguments.arguments) > 3)
        raise DataError(f"there is no photo in {where}", hint="Name photos or folders with photos.")
    if labels["error"]:
        report(f"{labels['error']} of {counted(labels.total(), 'photo')} could not be used")
        return DataError.exit_code
    return 0
