"""Evaluate a finished model on any labeled photos. Without the extra `train` the report has no figures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dogvscat import atomic, stderr
from dogvscat.bundle.card import Card
from dogvscat.bundle.folder import CARD_FILE
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.bundle.seen_photos import SplitFinder, split_finder
from dogvscat.cpus import map_in_order
from dogvscat.errors import DataError, ImageError, UsageError
from dogvscat.judging.decision import Logits
from dogvscat.judging.diagnosis import suspected_mislabeled
from dogvscat.judging.intervals import as_percent
from dogvscat.judging.metrics import SplitResult, evaluate_split
from dogvscat.judging.predictions import Predictions, write_predictions
from dogvscat.judging.report import Report, write_report
from dogvscat.locks import exclusive
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.reading.folders import name_key
from dogvscat.photos.reading.layout import Photo
from dogvscat.photos.reading.sources import SYNTHETIC_NOTE, PhotoSource
from dogvscat.stderr import Reporter
from dogvscat.text import html_table

SPLIT_ORDER = ("test", "all", "validation", "train")
"""The most trustworthy metrics first: photos set aside, photos the run never had, photos on which choices were made,
photos it was trained on."""


@dataclass(frozen=True)
class Evaluation:
    """The results by split, and the photos that could not be decoded."""

    model: str
    """Name of the bundle, such as `best@3f9c2ab81d04`."""
    results: Mapping[str, SplitResult]
    failures: tuple[ImageError, ...]

    def __repr__(self) -> str:
        accuracies = {split: result.metrics["accuracy"] for split, result in self.results.items()}
        splits = [f"{split}: accuracy {as_percent(value)}, n = {value.n:,}" for split, value in accuracies.items()]
        return f"<Evaluation of {self.model}: {'; '.join(splits)}>"

    def _repr_html_(self) -> str:
        """As notebooks show it: every metric of every split."""
        rows = [
            (split, name, *map(_rounded, (metric.value, metric.low, metric.high)), f"{metric.n:,}")
            for split, result in self.results.items()
            for name, metric in result.metrics.items()
        ]
        return html_table(("split", "metric", "value", "95% low", "95% high", "n"), rows)


def _rounded(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def evaluate(
    model: Path | None,
    source: PhotoSource,
    out: Path | None,
    report: Reporter,
    threads: int = 0,
    public_key: Path | None = None,
    *,
    exact: bool = False,
) -> Evaluation:
    """Evaluate a model on labeled photos and, given a folder, write metrics, predictions, figures and a report.

    Photos that are in the model's run, as the same file or as a near copy, are evaluated separately, under the split
    they had there, so that photos it learned from never count as new ones. Photos that the run left out, for
    example because the same picture is filed under both classes, are not evaluated.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from dogvscat.bundle.evaluation import evaluate
    >>> from dogvscat.photos.drawing.sample import write_sample
    >>> from dogvscat.photos.reading.sources import open_photos
    >>> folder = Path(mkdtemp())
    >>> write_sample(folder / "drawings", count=8)  # or a folder of your own photos
    >>> photos = open_photos(folder / "drawings")
    >>> evaluation = evaluate(None, photos, folder / "evaluation", report=lambda message: None)
    >>> evaluation.results["all"].metrics["accuracy"].n
    8

    Args:
        model: A run folder or a bundle, or None for the bundled model.
        source: Photos of the same two classes.
        out: Folder for the results, or None to write none; those of an earlier evaluation are replaced.
        report: Receives messages for the user.
        threads: CPU threads, 0 for as many as there are CPUs that this process may use.
        public_key: As for `Predictor.load`.
        exact: Ask only the full network.

    Raises:
        ModelError: if there is no usable model.
        DataError: if the classes differ from the model's, or no photo can be evaluated.
        UsageError: if `out` is a run folder or a bundle, whose own results would be overwritten, if another process
            writes to it, or if the key cannot be used.
        WriteError: if the results cannot be written.
    """
    with ExitStack() as stack:
        if out is not None:
            _prepare_out(out, report)
            stack.enter_context(exclusive(out, lock_outside=True))
        predictor = Predictor.load(model, threads, public_key, exact=exact)
        return _evaluate(predictor, model, source, out, report)


def _evaluate(
    predictor: Predictor, model: Path | None, source: PhotoSource, out: Path | None, report: Reporter
) -> Evaluation:
    for note in source.notes:
        report(note)
    card = predictor.card
    source = with_classes_of(card, source)
    splits_of = split_finder(predictor.bundle, source, report)
    predictions, failures = predict_splits(predictor, source, splits_of)
    # The order matters: the first split is the headline of the report.
    results = {split: evaluate_split(predictions[split]) for split in SPLIT_ORDER if split in predictions}
    num_evaluated = sum(result.n for result in results.values())
    if num_left_out := len(source.photos) - len(failures) - num_evaluated:
        report(
            f"{num_left_out:,} of these photos were left out of the model's run (manifest.csv says why), so they are "
            "left out here as well."
        )
    if not results:
        hint = "`dogvscat audit` says what is wrong with each."
        raise DataError(f"none of {len(source.photos):,} photos can be evaluated", hint=hint)
    _warn(results, predictor.warnings, report)
    if out is not None:
        _write(out, results, predictor, source, model, report)
    return Evaluation(predictor.name, results, failures)


def _prepare_out(out: Path, report: Reporter) -> None:
    atomic.refuse_unwritable(out)
    if (out / "config.toml").exists() or (out / CARD_FILE).exists():
        raise UsageError(f"{out} is a run folder or a bundle and is not overwritten", hint="Choose another --out.")
    if (out / "metrics.json").exists():
        report(f"{out} holds an earlier evaluation, which this one will replace.")


def with_classes_of(card: Card, source: PhotoSource) -> PhotoSource:
    """The photos with the classes named and ordered as in the card; case and blanks of the folders' names may differ.

    Raises:
        DataError: if they are other classes.
    """
    if source.class_names == card.class_names:
        return source
    label_of = {name_key(name): label for label, name in enumerate(card.class_names)}
    keys = [name_key(name) for name in source.class_names]
    if set(keys) != label_of.keys():
        photos, model = " and ".join(source.class_names), " and ".join(card.class_names)
        pairs = ",".join(f"{name}=FOLDER" for name in card.class_names)
        hint = f'If the folders hold photos of these classes under other names, add --class-names "{pairs}".'
        raise DataError(f"the photos show {photos}, but the model knows {model}", hint=hint)
    photos_of_model = [replace(photo, label=label_of[keys[photo.label]]) for photo in source.photos]
    return replace(source, class_names=card.class_names, photos=photos_of_model)


def predict_splits(
    predictor: Predictor, source: PhotoSource, splits_of: SplitFinder
) -> tuple[dict[str, Predictions], tuple[ImageError, ...]]:
    """The predictions by split, and why other photos could not be decoded. Photos of the empty split are left out."""
    photos: dict[str, list[Photo]] = {}
    logits: dict[str, list[tuple[float, ...]]] = {}
    failures: list[ImageError] = []
    for batch in _decoded_batches(source, predictor):
        failures += [image for _, image in batch if isinstance(image, ImageError)]
        decoded = [(photo, image) for photo, image in batch if not isinstance(image, ImageError)]
        if not decoded:
            continue
        outputs = predictor.answer_logits(np.stack([image for _, image in decoded]))
        # One tuple per photo: the logit of the positive class and, if the network has that output, of neither.
        photo_logits = zip(*(column for column in outputs if column is not None), strict=True)
        for (photo, _), numbers, split in zip(decoded, photo_logits, splits_of(decoded), strict=True):
            if split:  # the empty split: the run left this photo out
                photos.setdefault(split, []).append(photo)
                logits.setdefault(split, []).append(numbers)
    decision = predictor.card.decision()
    predictions = {
        split: Predictions.from_logits(
            split,
            source.class_names,
            [photo.path for photo in members],
            np.array([photo.label for photo in members]),
            Logits(*np.array(logits[split]).T),  # back to one array per output, each (n,)
            decision,
        )
        for split, members in photos.items()
    }
    return predictions, tuple(failures)


def _decoded_batches(
    source: PhotoSource, predictor: Predictor
) -> Iterator[list[tuple[Photo, np.ndarray | ImageError]]]:
    """Every photo with its pixels, uint8 (image_size, image_size, 3), or with the reason why it has none."""
    image_size = predictor.card.image_size

    def decode_photo(photo: Photo) -> tuple[Photo, np.ndarray | ImageError]:
        try:
            return photo, decode(source.read(photo.path), photo.path, image_size)
        except ImageError as error:
            return photo, error

    batch = []
    decoded_photos = map_in_order(decode_photo, source.photos, predictor.threads)
    for decoded in stderr.track(decoded_photos, "Evaluating photos", len(source.photos)):
        batch.append(decoded)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    yield batch  # the last one may be smaller, or empty


def _warn(results: Mapping[str, SplitResult], warnings: Sequence[str], report: Reporter) -> None:
    if "train" in results:
        report(
            f"The model was trained on {results['train'].n:,} of these photos; they are evaluated separately and say "
            "nothing about new photos."
        )
    if "validation" in results:
        report(
            f"The epoch, temperature and bias were chosen on {results['validation'].n:,} of these photos, which "
            "makes the model look slightly better on them than it is."
        )
    for warning in warnings:
        report(warning)


def _write(
    out: Path,
    results: Mapping[str, SplitResult],
    predictor: Predictor,
    source: PhotoSource,
    model: Path | None,
    report: Reporter,
) -> None:
    # Figures and suspects show the first split, which the headline is about.
    card, first = predictor.card, next(iter(results.values()))
    bundle = predictor.bundle
    atomic.write_json(
        out / "model.json", {"model": predictor.name, "digest": bundle.digest, "photos": source.location.name}
    )
    atomic.write_json(out / "metrics.json", {name: result.to_dict() for name, result in results.items()})
    write_predictions(out / "predictions.csv", [result.predictions for result in results.values()])
    note = SYNTHETIC_NOTE if source.is_synthetic or card.origin.drawn_sample else None

    figures = {}
    if all(map(find_spec, ("matplotlib", "sklearn"))):
        figures = _write_figures(out, first, card, source, note)
    else:
        report("The report has no figures: these need the extra `train` (pip install 'dogvscat[train]').")
    page = Report(
        title=f"{(model or bundle.folder).resolve().name} on {source.location.name}",
        splits=list(results.values()),
        decision=card.decision(),
        figures=figures,
        suspects=suspected_mislabeled(first.predictions),
        facts=_facts(predictor),
        note=note,
    )
    write_report(out / "report.html", page)


def _write_figures(
    out: Path, result: SplitResult, card: Card, source: PhotoSource, note: str | None
) -> dict[str, Path]:
    from dogvscat.judging.figures import write_figures

    # Only the few mistakes that are drawn are decoded again; keeping every image would need too much memory.
    def load_images(indices: Sequence[int]) -> np.ndarray:
        paths = [result.predictions.paths[index] for index in indices]
        return np.stack([decode(source.read(path), path, card.image_size) for path in paths])

    return write_figures(out, result, card.decision(), load_images, None, note)


def _facts(predictor: Predictor) -> list[tuple[str, str]]:
    card = predictor.card
    return [
        ("model", predictor.name),
        ("recipe", card.config.recipe),
        ("input", f"{card.image_size} x {card.image_size} pixels; photos of any shape are squashed to this square"),
        ("learned from", f"{card.origin.num_train:,} images, data digest {card.origin.data_digest[:16]}"),
        ("made", f"{card.origin.created}, commit {card.origin.commit}, {card.origin.hardware}"),
    ]
