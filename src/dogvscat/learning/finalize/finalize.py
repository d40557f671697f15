"""After the last step: evaluate, choose the decision on the validation split, publish the bundle, write the report.

Doing it again for a finished run gives the same files.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dogvscat import atomic
from dogvscat.bundle.card import Provenance
from dogvscat.bundle.graph import open_graph, run_class_activation, run_graph
from dogvscat.bundle.publish import publish_bundle
from dogvscat.judging.calibration import cross_fit, fit_decision
from dogvscat.judging.decision import Decision
from dogvscat.judging.evaluate import SplitResult, evaluate_split
from dogvscat.judging.intervals import MetricValue
from dogvscat.judging.metrics import compute_neither_metrics
from dogvscat.judging.predictions import Predictions, write_predictions
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import keras
from dogvscat.learning.finalize.onnx_export import check_parity, export_onnx
from dogvscat.learning.loop.checkpoint import read_variables
from dogvscat.learning.loop.inference import predict_logits
from dogvscat.learning.loop.training import Training
from dogvscat.learning.run import Run, hardware

_PARITY_IMAGES = 64


@dataclass(frozen=True)
class Evaluation:
    """What was chosen on the validation split, and what was measured."""

    decision: Decision
    folds: int
    """Parts of the validation split in the cross-fit of its decision; 0 if it had too few images."""
    results: dict[str, SplitResult]
    neither: dict[str, MetricValue]
    """About photos that show neither class and that took no part in the training; empty where there are none."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for `metrics.json`."""
        metrics = {split: result.to_dict() for split, result in self.results.items()}
        return metrics | ({"neither": {"figures": self._neither_figures()}} if self.neither else {})

    def figures(self) -> dict[str, dict[str, Any]]:
        """Split -> metric -> value with interval, for the card."""
        figures = {split: result.to_dict()["figures"] for split, result in self.results.items()}
        return figures | ({"neither": self._neither_figures()} if self.neither else {})

    def _neither_figures(self) -> dict[str, Any]:
        return {name: value.to_dict() for name, value in self.neither.items()}


def evaluate_training(run: Run, network: keras.Model, training: Training, dataset: Dataset) -> Evaluation:
    """Evaluate both splits in inference mode; write metrics.json and predictions.csv.

    Raises:
        WriteError: if they cannot be written.
    """
    manifest, image_size = dataset.manifest, training.config.data.image_size
    validation_rows, train_rows = manifest.of_split("validation"), manifest.of_split("train")
    y_true = manifest.labels(validation_rows)
    logits = predict_logits(network, training.validation, image_size)
    decision = fit_decision(y_true, *logits)
    # The decision was chosen on these images, so their own figures come from decisions that were each chosen on the
    # other parts of them: no image is evaluated by a choice it took part in.
    crossed = cross_fit(y_true, logits.positive, [row.group for row in validation_rows], logits.neither)
    paths = [row.path for row in validation_rows]
    validation = Predictions(
        "validation", manifest.class_names, paths, y_true, crossed.y_prob, crossed.y_pred, crossed.unsure
    )
    train = Predictions.from_logits(
        "train",
        manifest.class_names,
        [row.path for row in train_rows],
        training.loader.images.y_true,
        predict_logits(network, training.loader.images, image_size),
        decision,
    )
    results = {"train": evaluate_split(train), "validation": evaluate_split(validation)}
    held_out = dataset.neither_images("test")
    neither = {}
    if held_out is not None:
        neither = compute_neither_metrics(predict_logits(network, held_out, image_size), logits, decision)
    evaluation = Evaluation(decision, crossed.folds, results, neither)
    atomic.write_json(run.metrics_file, evaluation.to_dict())
    write_predictions(run.predictions_file, [train, validation])
    return evaluation


def publish(run: Run, network: keras.Model, training: Training, dataset: Dataset, evaluation: Evaluation) -> None:
    """Export the network and write the bundle.

    Raises:
        ModelError: if the exported graph does not answer as the network does.
        WriteError: if the bundle cannot be written.
    """
    decision, config = evaluation.decision, training.config
    graph = export_onnx(network, decision.temperature)
    samples = np.arange(min(_PARITY_IMAGES, len(training.validation)))
    pixels = training.validation.pixels(samples, config.data.image_size)
    session = open_graph(graph, "the new bundle")
    activation = run_class_activation(session, pixels)
    check_parity(network, decision.temperature, pixels, run_graph(session, pixels), activation)
    provenance = Provenance(
        data_digest=dataset.manifest.digest,
        drawn_sample=dataset.manifest.is_synthetic,
        num_train=len(training.loader.images),
        num_validation=len(training.validation),
        num_neither=0 if training.loader.neither is None else len(training.loader.neither),
        epoch=training.state.chosen_epoch(config.training),
        commit=run.load_environment()["commit"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hardware=hardware(),
    )
    publish_bundle(
        run.bundle_folder,
        graph,
        read_variables(network.weights),
        dataset.manifest.class_names,
        config,
        decision,
        provenance,
        evaluation.figures(),
        run.load_known_failures(),
    )
