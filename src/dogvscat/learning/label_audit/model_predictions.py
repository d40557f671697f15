"""Predictions of a model that is trained already, in place of out-of-fold predictions: minutes instead of hours."""

from pathlib import Path

import numpy as np

from dogvscat.bundle.evaluation import predict_splits, with_classes_of
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.seen_photos import split_finder
from dogvscat.errors import DataError
from dogvscat.learning.label_audit.out_of_fold import OutOfFoldPredictions
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.reading.folders import name_key
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.splits import LEFT_OUT, TRAIN
from dogvscat.stderr import Reporter
from dogvscat.text import pluralize


def predict_with_model(source: PhotoSource, manifest: Manifest, model: Path, report: Reporter) -> OutOfFoldPredictions:
    """The model's predictions for all photos that it did not learn from.

    A network has learned the labels of its training photos, wrong ones too, so it would suspect none of them.

    Args:
        source: The photos.
        manifest: Of these photos, with the labels they are filed under.
        model: A run folder, a bundle folder, or the name of a bundled model.
        report: Receives messages about the progress.

    Raises:
        ModelError: if there is no usable model.
        DataError: if the model knows other classes, or learned from all photos of a class.
    """
    predictor = Predictor.load(model, exact=True)  # the check depends on each probability, not only on the labels
    card = predictor.card
    for warning in predictor.warnings:
        report(warning)
    other_networks = "Leave out --model: networks trained for this check can check every photo, of any two classes."
    try:
        source_of_model = with_classes_of(card, source)
    except DataError as error:
        raise DataError(error.message, hint=other_networks) from None
    finder = split_finder(predictor.bundle, source_of_model, report)
    predictions, _ = predict_splits(predictor, source_of_model, finder)  # unreadable photos are in no split below
    if learned := predictions.pop(TRAIN, None):
        report(f"{pluralize(learned.n, 'photo')} that the model learned from cannot be checked with it.")
    y_prob = {path: p for split in predictions.values() for path, p in zip(split.paths, split.y_prob, strict=True)}
    rows = [row for row in manifest.rows if row.split != LEFT_OUT and row.path in y_prob]
    if set(manifest.labels(rows).tolist()) != {0, 1}:
        raise DataError("the model learned from all photos of a class, and cannot check them", hint=other_networks)
    of_positive = np.array([y_prob[row.path] for row in rows])
    # The folders' names, which differ in case and blanks, may stand in the other order.
    same_order = name_key(manifest.class_names[1]) == name_key(card.positive_class)
    return OutOfFoldPredictions(
        manifest.class_names, rows, manifest.labels(rows), of_positive if same_order else 1 - of_positive
    )
