"""Answers about photos, as text, JSON lines or a file. Imports neither Keras nor Typer, so that answers come soon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dogvscat import stderr
from dogvscat.cli.output import flush, report, show, show_json
from dogvscat.cli.photo_arguments import PhotoArguments
from dogvscat.errors import DataError, UsageError
from dogvscat.labels import FAILED, NEITHER
from dogvscat.text import pluralize

if TYPE_CHECKING:
    from dogvscat.bundle.predict.prediction import Failure, Prediction
    from dogvscat.bundle.predict.predictor import Predictor

    Predict = Callable[[Iterable[str]], Iterable[Prediction | Failure]]
    """From paths to their predictions, in the same order."""


def answer_photos(
    photos: Iterable[str],
    *,
    model: Path | None = None,
    out: Path | None = None,
    threads: int | None = None,
    cluster: str | None = None,
    isolate: bool = False,
    exact: bool = False,
    public_key: Path | None = None,
    as_json: bool = False,
) -> int:
    """Predict the class of each photo, with probabilities; returns the exit code.

    The arguments are those of `dogvscat predict`.
    """
    from dogvscat.bundle.predict.predictor import Predictor

    if out is not None:
        _check_output_file(out, as_json)
    if threads and cluster:
        raise UsageError(
            "--threads applies to this process, but --cluster predicts in other processes", hint="Leave one out."
        )
    if isolate and cluster:
        raise UsageError(
            "--isolate decodes in processes on this machine, but --cluster predicts elsewhere", hint="Leave one out."
        )
    predictor = Predictor.load(model, threads or 0, public_key, exact=exact)
    report_warnings(predictor.warnings)
    arguments = PhotoArguments(photos, allow_urls=cluster is not None)
    with _open_predict(predictor, cluster, isolate, exact) as predict:
        if out is not None:
            labels = _write_predictions(predictor, predict, arguments, out)
        else:
            labels = _show_predictions(predict, arguments, predictor.name if as_json else None)
    return summarize(arguments, labels)


def report_warnings(warnings: Iterable[str]) -> None:
    """Report, once per command, the warnings about a network that all of its users must see."""
    for warning in warnings:
        report(warning)


@contextmanager
def _open_predict(predictor: Predictor, cluster: str | None, isolate: bool, exact: bool) -> Iterator[Predict]:
    """A function that predicts in this process or, if one is named, on a cluster."""
    if isolate:
        from dogvscat.photos.isolation.pool import DecoderPool

        with DecoderPool(predictor.threads) as decoders:
            yield lambda paths: predictor.stream(paths, decoders.decode)
        return
    if cluster is None:
        yield predictor.stream  # decodes ahead while the network runs
        return
    from dogvscat.api.extras import need_cluster_extra

    need_cluster_extra()
    from dogvscat.bundle.predict.cluster import predict_on_cluster
    from dogvscat.cluster import ray_cluster

    with ray_cluster(cluster):
        yield lambda paths: predict_on_cluster(predictor.bundle, paths, exact=exact)


def _show_predictions(predict: Predict, arguments: PhotoArguments, model: str | None) -> Counter[str]:
    """Print the predictions on stdout; returns the number of each label, with failures counted as `FAILED`.

    Args:
        predict: Answers the photos.
        arguments: The photos.
        model: The bundle's name, to print JSON that includes it; None to print text.
    """
    from dogvscat.bundle.predict.prediction import Failure

    labels: Counter[str] = Counter()
    total = arguments.count() if stderr.on_terminal() else None
    for prediction in stderr.track(predict(arguments.paths()), "Predicting", total):
        labels[FAILED if isinstance(prediction, Failure) else prediction.label] += 1
        if model is None:
            show_prediction(prediction)
        else:
            answered_by = {} if isinstance(prediction, Failure) else {"model": model}
            show_json({**prediction.to_dict(), **answered_by})
    flush()  # here, so that a full disk is reported before the summary
    return labels


def _write_predictions(predictor: Predictor, predict: Predict, arguments: PhotoArguments, out: Path) -> Counter[str]:
    """Write the predictions to a file; returns the number of each label, including those of earlier runs."""
    from dogvscat.bundle.predict.results import ResultsFile

    with ResultsFile(out, predictor.rules.class_names, predictor.name) as results:
        remaining = results.resume(arguments.paths())
        if results.num_existing:
            report(f"{out} already has the answers for {pluralize(results.num_existing, 'photo')}.")
        if results.num_changed:
            report(f"{pluralize(results.num_changed, 'photo')} changed since then and will be predicted again.")
        total = arguments.count() if stderr.on_terminal() else None  # counting walks all folders: only for a bar
        num_remaining = None if total is None else total - results.num_existing
        for prediction in stderr.track(predict(remaining), "Predicting", num_remaining):
            results.write(prediction)
        results.finish()
    answers = [f"{count:,} {label}" for label, count in sorted(results.labels.items()) if label != FAILED]
    failures = [f"{pluralize(results.labels[FAILED], 'error')} (no answer)"] if results.labels[FAILED] else []
    counts = ", ".join([*answers, *failures])
    report(f"{out} has {pluralize(results.labels.total(), 'row')}: {counts}." if counts else f"{out} has no rows.")
    return results.labels


def _check_output_file(out: Path, as_json: bool) -> None:
    if as_json:
        hint = "To write JSON lines to a file: --out results.jsonl"
        raise UsageError("--json prints the answers and --out writes them to a file; give only one of them", hint=hint)
    if out.suffix.lower() == ".parquet":  # before hours of predictions, not at their end
        from dogvscat.api.extras import need_parquet_extra

        need_parquet_extra()


def show_prediction(prediction: Prediction | Failure, suffix: str = "") -> None:
    """Print a prediction as one line on stdout, or a failure as one line on stderr."""
    from dogvscat.bundle.predict.prediction import Failure

    if isinstance(prediction, Failure):
        hint = f" ({prediction.hint})" if prediction.hint else ""
        report(f"error: {prediction.path}: {prediction.message}{hint}")
        return
    probabilities = prediction.probabilities | ({} if prediction.neither is None else {NEITHER: prediction.neither})
    columns = "  ".join(f"{name} {probability:>6.1%}" for name, probability in probabilities.items())
    label = f"{prediction.label} ({prediction.reason})" if prediction.reason else prediction.label
    show(f"{label:<16} {columns}  {prediction.path}{suffix}")  # 16: the length of `unsure (neither)`


def summarize(arguments: PhotoArguments, labels: Counter[str]) -> int:
    """Report the skipped files and the failures; returns the exit code.

    Args:
        arguments: The photos, after all of them were predicted.
        labels: Number of photos with each label; failures are counted as `FAILED`.

    Raises:
        DataError: if there was no photo at all.
    """
    if arguments.skipped:
        files = pluralize(arguments.skipped, "file")
        report(f"skipped {files}: hidden, or without the suffix of a photo, such as .jpg")
    if not labels.total():
        sources = ", ".join(arguments.arguments[:3]) + ", ..." * (len(arguments.arguments) > 3)
        raise DataError(f"there is no photo in {sources}", hint="Name photos or folders with photos.")
    if labels[FAILED]:
        report(f"{labels[FAILED]} of {pluralize(labels.total(), 'photo')} could not be used")
        return DataError.exit_code
    return 0
