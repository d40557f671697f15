"""Judge a finished model on any labelled photos. Heavy: it needs scikit-learn and matplotlib, but no Keras."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import numpy as np

from dogvscat import atomic, stderr
from dogvscat.bundle.card import CARD_FILE, Card
from dogvscat.bundle.folder import RUN_BUNDLE
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.errors import DataError, ImageError, UsageError
from dogvscat.judging.answers import Answers
from dogvscat.judging.decision import Logits
from dogvscat.judging.diagnosis import suspected_mislabelled
from dogvscat.judging.judge import SplitResult, judge_split, write_pictures
from dogvscat.judging.predictions import write_predictions
from dogvscat.judging.report import Report, write_report
from dogvscat.photos.decoder import decode
from dogvscat.photos.duplicates import find_copies
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.scan import scan
from dogvscat.photos.sources import Photo, PhotoSource
from dogvscat.stderr import Reporter

SPLIT_ORDER = ("test", "all", "validation", "train")
"""The most honest figures first: photos put aside, photos never seen, photos that chose, photos that taught."""


@dataclass(frozen=True)
class Evaluation:
    """What was found, and which photos could not be judged."""

    results: Mapping[str, SplitResult]
    failures: tuple[ImageError, ...]


def evaluate(model: Path | None, source: PhotoSource, out: Path, report: Reporter) -> Evaluation:
    """Judge a model on labelled photos and write metrics, predictions, pictures and a report.

    Photos that the model's run knows, by content or as near copies, are judged apart under the split they had there,
    so that pictures it learned from never pass for new ones. Those that the run left out, because the same picture is
    filed under both classes, are not judged.

    Args:
        model: A run folder or a bundle, or None for the shipped one.
        source: Photos of the same two classes.
        out: Folder for the results; those of an earlier evaluation are replaced.
        report: Told what happens.

    Raises:
        ModelError: if there is no usable model.
        DataError: if the classes are others, or no photo can be read.
        UsageError: if `out` is a run folder or a bundle, whose own results would be overwritten.
        WriteError: if the results cannot be written.
    """
    _refuse_out(out)
    if (out / "metrics.json").exists():
        report(f"{out} holds an earlier evaluation, which this one will replace.")
    predictor = Predictor.load(model)
    card = predictor.card
    if source.class_names != card.class_names:
        raise DataError(
            f"the photos are of {' and '.join(source.class_names)}, the model knows {' and '.join(card.class_names)}"
        )
    manifest_file = _run_manifest(predictor.bundle.folder)
    if manifest_file is None:
        report(
            "This bundle lies outside of its run folder: photos it learned from cannot be told apart, and flatter it."
        )
    judged, failures = _answer(predictor, source, _known_splits(manifest_file, source) if manifest_file else {})
    results = {split: judge_split(judged[split]) for split in SPLIT_ORDER if split in judged}
    num_judged = sum(result.n for result in results.values())
    if left_out := len(source.photos) - len(failures) - num_judged:
        report(
            f"{left_out:,} of these photos were left out of the model's run (manifest.csv says why); so they are here."
        )
    if not results:
        hint = "`dogvscat audit` says what is wrong with each."
        raise DataError(f"none of {len(source.photos):,} photos can be judged", hint=hint)
    _warn(results, card, report)
    _write(out, results, predictor, source, model)
    return Evaluation(results, failures)


def _refuse_out(out: Path) -> None:
    atomic.refuse_unwritable(out)
    if (out / "config.toml").exists() or (out / CARD_FILE).exists():
        raise UsageError(f"{out} is a run folder or a bundle and is not overwritten", hint="Choose another --out.")


def _run_manifest(bundle: Path) -> Path | None:
    """The manifest of the run that a bundle lies in, if it lies in one."""
    file = bundle.parent / "manifest.csv"
    return file if bundle.name == RUN_BUNDLE and file.is_file() else None


def _known_splits(manifest_file: Path, source: PhotoSource) -> dict[str, str]:
    """Path -> split, empty where left out, of the photos that a run knows.

    A photo is known by its content or by its picture: saved again at another size, it is still what was learned.
    """
    rows = load_manifest(manifest_file).rows
    by_content = {row.sha256: row.split for row in rows}
    scanned = scan(source)
    known = {photo.path: by_content[photo.sha256] for photo in scanned if photo.sha256 in by_content}
    others = [photo for photo in scanned if photo.path not in known and photo.usable]
    copies = find_copies([photo.perceptual_hash for photo in others], [row.perceptual_hash for row in rows])
    return known | {p.path: rows[copy].split for p, copy in zip(others, copies, strict=True) if copy is not None}


def _answer(
    predictor: Predictor, source: PhotoSource, known: Mapping[str, str]
) -> tuple[dict[str, Answers], tuple[ImageError, ...]]:
    photos: dict[str, list[Photo]] = {}
    logits: dict[str, list[tuple[float, ...]]] = {}
    failures = []
    for batch in _batches(source, predictor.card.image_size):
        good = [(photo, pixels) for photo, pixels in batch if not isinstance(pixels, ImageError)]
        failures += [pixels for _, pixels in batch if isinstance(pixels, ImageError)]
        answers = predictor.logits(np.stack([pixels for _, pixels in good])) if good else Logits(np.zeros(0))
        columns = zip(*(column for column in answers if column is not None), strict=True)
        for (photo, _), numbers in zip(good, columns, strict=True):
            if not (split := known.get(photo.path, "all")):
                continue
            photos.setdefault(split, []).append(photo)
            logits.setdefault(split, []).append(numbers)
    decision = predictor.card.decision()
    judged = {
        split: Answers.decided(
            split,
            source.class_names,
            [photo.path for photo in members],
            np.array([photo.label for photo in members]),
            Logits(*np.array(logits[split]).T),
            decision,
        )
        for split, members in photos.items()
    }
    return judged, tuple(failures)


def _batches(source: PhotoSource, image_size: int) -> Iterator[list[tuple[Photo, np.ndarray | ImageError]]]:
    def look(photo: Photo) -> tuple[Photo, np.ndarray | ImageError]:
        try:
            return photo, decode(source.read(photo.path), photo.path, image_size)
        except ImageError as error:
            return photo, error

    with ThreadPoolExecutor(cpu_count()) as pool:
        batch = []
        for looked_at in stderr.track(pool.map(look, source.photos), "Judging photos", len(source.photos)):
            batch.append(looked_at)
            if len(batch) == BATCH_SIZE:
                yield batch
                batch = []
        yield batch


def _warn(results: Mapping[str, SplitResult], card: Card, report: Reporter) -> None:
    if "train" in results:
        num_seen = results["train"].n
        report(
            f"{num_seen:,} of these photos trained the model; they are judged apart and say nothing about new photos."
        )
    if "validation" in results:
        num_chose = results["validation"].n
        report(f"{num_chose:,} of these photos chose its epoch, temperature and threshold, which flatters it a little.")
    if card.origin.drawn_sample:
        report("This model learned from drawings, not photographs.")


def _write(
    out: Path, results: Mapping[str, SplitResult], predictor: Predictor, source: PhotoSource, model: Path | None
) -> None:
    card, first = predictor.card, next(iter(results.values()))
    atomic.write_json(out / "metrics.json", {name: result.to_dict() for name, result in results.items()})
    write_predictions(out / "predictions.csv", [result.answers for result in results.values()])
    note = "drawn sample, not photographs" if source.is_synthetic or card.origin.drawn_sample else None

    def load_images(indices) -> np.ndarray:  # type: ignore[no-untyped-def]
        paths = [first.answers.paths[index] for index in indices]
        return np.stack([decode(source.read(path), path, card.image_size) for path in paths])

    pictures = write_pictures(out, first, card.decision(), load_images, None, note)
    report = Report(
        title=f"{(model or predictor.bundle.folder).resolve().name} on {source.location.name}",
        splits=list(results.values()),
        decision=card.decision(),
        pictures=pictures,
        suspects=suspected_mislabelled(first.answers),
        facts=_facts(card),
        note=note,
    )
    write_report(out / "report.html", report)


def _facts(card: Card) -> list[tuple[str, str]]:
    return [
        ("recipe", card.config.recipe),
        ("input", f"{card.image_size} x {card.image_size} pixels; photos of any size are squashed to it"),
        ("learned from", f"{card.origin.num_train:,} pictures, data digest {card.origin.data_digest[:16]}"),
        ("made", f"{card.origin.created}, commit {card.origin.commit}, {card.origin.hardware}"),
    ]
