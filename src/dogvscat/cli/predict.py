"""`dogvscat predict`: photos in, answers out. Never imports Keras."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dogvscat.cli.options import Cluster
from dogvscat.cli.speaking import flush, say, show, show_json
from dogvscat.errors import DataError, UsageError
from dogvscat.labels import NEITHER

if TYPE_CHECKING:
    from dogvscat.bundle.predictor import Failure, Prediction, Predictor


def command(
    photos: Annotated[list[str], typer.Argument(help="Files, folders, or - for a list of paths on stdin.")],
    model: Annotated[Path | None, typer.Option(help="A run folder, a bundle, or the name of a shipped one.")] = None,
    cluster: Cluster = None,
    out: Annotated[
        Path | None, typer.Option(help="With --cluster: a table of the answers, as .jsonl, .csv or .parquet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Say what is on each photo, with its probabilities.

    A bad file never stops the rest; the exit code is 3 if any failed.
    """
    from dogvscat import progress
    from dogvscat.bundle.predictor import Failure, Predictor

    predictor = Predictor.load(model)
    if predictor.card.origin.drawn_sample:
        say("This network learned from drawings, not photographs: its answers about photographs mean nothing.")
    walk = Walk(photos, objects=cluster is not None)
    num_failed = num_answered = 0
    with _answers(predictor, walk, cluster, out) as answers:
        for answer in progress.track(answers, "Predicting"):
            if isinstance(answer, Failure):
                num_failed += 1
                _show_failure(answer, as_json)
                continue
            num_answered += 1
            if as_json:
                _show_json(answer)
            else:
                chances = answer.probabilities | ({} if answer.neither is None else {NEITHER: answer.neither})
                shown = "  ".join(f"{name} {probability:>6.1%}" for name, probability in chances.items())
                show(f"{answer.label:<8} {shown}  {answer.path}")
    flush()
    return _sum_up(walk, num_answered, num_failed)


@contextmanager
def _answers(
    predictor: "Predictor", walk: "Walk", cluster: str | None, out: Path | None
) -> Iterator[Iterable["Prediction | Failure"]]:
    """The answers in order, from this process or from a cluster; there they are written to `out` as well."""
    if cluster is None:
        if out is not None:
            raise UsageError("--out needs --cluster", hint="Here, write to a file with: --json > results.jsonl")
        yield predictor.stream(walk.paths())
        return
    from dogvscat.cli.extras import need_cluster_extra

    need_cluster_extra()
    from dogvscat.bundle.cluster_prediction import ClusterAnswers, refuse_unknown_table
    from dogvscat.cluster import joined

    if out is not None:
        refuse_unknown_table(out)
    paths = list(walk.paths())
    with joined(cluster):
        answers = ClusterAnswers(predictor.bundle, paths)
        if out is not None:
            answers.write(out)
        yield answers


class Walk:
    """The files that arguments mean: files as they are, folders walked for photos, `-` for a list on stdin.

    Args:
        arguments: As given.
        objects: Whether URLs are followed to where fsspec leads.
    """

    def __init__(self, arguments: Iterable[str], objects: bool = False) -> None:
        self.arguments = list(arguments)
        self.objects = objects
        self.skipped = 0
        """Files in walked folders that are no photos by their suffix."""

    def paths(self) -> Iterator[str]:
        """Every path, folders in sorted order."""
        for argument in self.arguments:
            if argument == "-":
                for line in sys.stdin.buffer:
                    if b"\0" in line:
                        hint = "Example: find photos -name '*.jpg' | dogvscat predict -"
                        raise UsageError("stdin is no text, expected a list of paths, one a line", hint=hint)
                    if path := os.fsdecode(line.rstrip(b"\r\n")):
                        yield from self._expanded(path)
            else:
                yield from self._expanded(argument)

    def _expanded(self, path: str) -> Iterator[str]:
        from dogvscat.photos.decoder import PHOTO_SUFFIXES
        from dogvscat.photos.objects import find_objects, is_url

        if self.objects and is_url(path):
            found = find_objects(path)
            self.skipped += found.skipped
            yield from found.urls
            return
        if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, never raises
            yield path
            return
        closed: list[str] = []
        for folder, folders, files in os.walk(path, onerror=lambda error: closed.append(error.filename)):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith("."):
                    yield f"{folder.rstrip(os.sep)}{os.sep}{name}"
                else:
                    self.skipped += 1
        yield from closed  # a folder that cannot be looked into fails like a photo that cannot be opened


def _show_json(answer) -> None:  # type: ignore[no-untyped-def]
    neither = {} if answer.neither is None else {NEITHER: answer.neither}
    show_json({"path": answer.path, "label": answer.label, "probabilities": answer.probabilities, **neither})


def _show_failure(failure, as_json: bool) -> None:  # type: ignore[no-untyped-def]
    if as_json:
        show_json({"path": failure.path, "error": {"code": failure.code, "message": failure.message}})
    else:
        say(f"error: {failure.path}: {failure.message}" + (f" ({failure.hint})" if failure.hint else ""))


def _sum_up(walk: Walk, num_answered: int, num_failed: int) -> int:
    if walk.skipped:
        say(f"{walk.skipped} files of other kinds were skipped")
    if not num_answered + num_failed:
        raise DataError("there is no photo there", hint="Name photos or folders with photos.")
    if num_failed:
        say(f"{num_failed} of {num_answered + num_failed} photos could not be used")
        return DataError.exit_code
    return 0
