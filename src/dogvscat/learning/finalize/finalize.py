"""After the last step: evaluate, choose the decision on the validation split, publish the bundle, write the report.

Doing it again for a finished run gives the same files, apart from the date and the hardware in the bundle.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dogvscat import atomic
from dogvscat.bundle.card import Provenance
from dogvscat.bundle.fingerprints import FINGERPRINT_FILES, compute_fingerprints, pack_fingerprints
from dogvscat.bundle.publish import FirstGraph, publish_bundle
from dogvscat.config import Config
from dogvscat.judging.advice import TrainingSetup, next_commands
from dogvscat.judging.calibration import cross_fit, fit_decision
from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.diagnosis import diagnose, giveaway_finding, suspected_mislabeled
from dogvscat.judging.figures import write_figures
from dogvscat.judging.intervals import MetricValue
from dogvscat.judging.metrics import SplitResult, compute_neither_metrics, evaluate_split, guesses
from dogvscat.judging.predictions import History, Predictions, write_predictions
from dogvscat.judging.report import Report, write_report
from dogvscat.learning.data.dataset import Dataset, LabeledImages
from dogvscat.learning.engine import keras
from dogvscat.learning.environment import hardware
from dogvscat.learning.finalize.first_network import (
    NUM_CALIBRATION_IMAGES,
    fit_first_network,
    may_have_first_network,
    write_first_graph,
)
from dogvscat.learning.loop.inference import predict_logits
from dogvscat.learning.loop.training import Training
from dogvscat.learning.model.networks import named_weights
from dogvscat.learning.onnx_export.export import check_parity, export_onnx
from dogvscat.learning.run import Run
from dogvscat.network.folding import Weights
from dogvscat.network.picture import draw_network
from dogvscat.settings.toml import toml_value

_PARITY_IMAGES = 64
_BATCH = 32


@dataclass(frozen=True)
class Evaluation:
    """What was chosen on the validation split, and what was measured."""

    decision: Decision
    folds: int
    """Number of parts of the validation split in the cross-fit of the decision; 0 if it had too few images."""
    results: dict[str, SplitResult]
    neither: dict[str, MetricValue]
    """Metrics of held-out photos that show neither class; empty where there are none."""
    document: dict[str, Any]
    """The content of metrics.json: the metrics by split, as JSON values."""
    history: History
    """How the training went."""
    logits: Logits
    """Of the validation images, as the network gives them."""


def evaluate_training(run: Run, network: keras.Model, training: Training, dataset: Dataset) -> Evaluation:
    """Evaluate both splits in inference mode; write predictions.csv and metrics.json.

    Raises:
        WriteError: if one of the two files cannot be written.
    """
    manifest, config, state = dataset.manifest, training.config, training.state
    image_size, train_conditions = config.data.image_size, _training_conditions(config)
    chosen_epoch = state.chosen_epoch(config.training)
    validation_rows, train_rows = manifest.of_split("validation"), manifest.of_split("train")
    y_true = training.validation.y_true
    logits = predict_logits(network, training.validation, image_size)
    # The decision is chosen on these images, so their own figures are cross-fitted: each part of the images is
    # evaluated with a decision that was chosen on the other parts.
    crossed = cross_fit(y_true, logits.positive, [row.group for row in validation_rows], logits.neither)
    decision = replace(fit_decision(y_true, *logits), at_chance=guesses(y_true, crossed.y_pred))
    paths, unsure = [row.path for row in validation_rows], crossed.unsure | decision.at_chance
    validation = Predictions("validation", manifest.class_names, paths, y_true, crossed.y_prob, crossed.y_pred, unsure)
    train = Predictions.from_logits(
        "train",
        manifest.class_names,
        [row.path for row in train_rows],
        training.loader.images.y_true,
        predict_logits(network, training.loader.images, image_size),
        decision,
    )
    write_predictions(run.predictions_file, [train, validation])
    history = History(
        rows=state.history,
        best_epoch=chosen_epoch,
        stopped_early=state.stopped_early(config.training),
        num_train=len(training.loader.images),
        num_validation=len(training.validation),
        train_conditions=train_conditions,
    )
    results = {"train": evaluate_split(train), "validation": evaluate_split(validation)}
    document = {split: result.to_dict() for split, result in results.items()}
    neither = {}
    if dataset.neither is not None:
        held_out = predict_logits(network, dataset.neither.images["test"], image_size)
        neither = compute_neither_metrics(held_out, logits, decision)
        document["neither"] = {"figures": {name: asdict(value) for name, value in neither.items()}}
    atomic.write_json(run.metrics_file, document)
    return Evaluation(decision, crossed.folds, results, neither, document, history, logits)


def publish(run: Run, network: keras.Model, training: Training, dataset: Dataset, evaluation: Evaluation) -> None:
    """Export the network and write the bundle.

    Raises:
        ModelError: if the exported graph does not answer as the network does.
        WriteError: if the bundle cannot be written.
    """
    decision, config = evaluation.decision, training.config
    graph = export_onnx(network, config.network, decision)
    samples = np.arange(min(_PARITY_IMAGES, len(training.validation)))
    pixels = training.validation.pixels(samples, config.data.image_size)
    check_parity(network, decision, graph, pixels)
    provenance = Provenance(
        data_digest=dataset.manifest.digest,
        drawn_sample=dataset.manifest.is_synthetic,
        num_train=len(training.loader.images),
        num_validation=len(training.validation),
        num_neither=0 if training.loader.neither is None else len(training.loader.neither),
        epoch=evaluation.history.best_epoch,
        commit=run.load_environment()["commit"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hardware=hardware(),
    )
    weights = named_weights(network, config.network.operations(config.data.image_size))
    publish_bundle(
        run.bundle_folder,
        graph,
        weights,
        dataset.manifest.class_names,
        config,
        decision,
        provenance,
        {split: result["figures"] for split, result in evaluation.document.items()},
        run.load_known_failures(),
        {name: _fingerprints(dataset.images[split], config) for split, name in FINGERPRINT_FILES.items()},
        _first_network(training, evaluation, weights),
    )


def _first_network(training: Training, evaluation: Evaluation, weights: Weights) -> FirstGraph | None:
    """The quick first network, if one would save time without changing answers."""
    config, decision, images = training.config, evaluation.decision, training.loader.images
    image_size, y_true = config.data.image_size, training.validation.y_true
    if not may_have_first_network(config.network, image_size, decision, len(y_true)):
        return None
    samples = np.linspace(0, len(images) - 1, NUM_CALIBRATION_IMAGES).astype(int)  # from all over the training photos
    graph = write_first_graph(config.network, weights, decision, images.pixels(samples, image_size))
    batches = (
        training.validation.pixels(np.arange(start, min(start + _BATCH, len(y_true))), image_size)
        for start in range(0, len(y_true), _BATCH)
    )
    calibrated = Logits(decision.calibrate(evaluation.logits.positive), evaluation.logits.neither)
    return fit_first_network(graph, replace(decision, temperature=1.0, bias=0.0), batches, y_true, calibrated)


def write_run_report(run: Run, training: Training, dataset: Dataset, evaluation: Evaluation) -> None:
    """Draw the figures and write report.html.

    Raises:
        ModelError: if the run's environment.json is damaged.
        WriteError: if a file cannot be written.
    """
    facts, settings = _facts(training), _settings(training.config)
    environment = [
        (name, _value_in_words(value)) for name, value in run.load_environment().items() if name != "giveaways"
    ]
    history, setup = evaluation.history, _setup(training, dataset)
    validation, train = evaluation.results["validation"], evaluation.results["train"]
    figures = write_figures(
        run.folder,
        validation,
        evaluation.decision,
        lambda indices: training.validation.pixels(np.asarray(indices), training.config.data.image_size),
        history,
        dataset.note,
    )
    suspects = suspected_mislabeled(validation.predictions)
    findings = diagnose(setup, history, train.metrics, validation.metrics)
    kinds = [finding.kind for finding in findings]
    network = training.config.network
    operations = network.operations(training.config.data.image_size)
    atomic.write_bytes(run.network_picture, draw_network(network.stages, operations, training.config.recipe).png())
    figures["network"] = run.network_picture
    if training.config.augmentation.enabled:
        figures["augmentation"] = run.augmentation_picture
    report = Report(
        title=run.folder.resolve().name,
        splits=[validation, train],
        decision=evaluation.decision,
        folds=evaluation.folds,
        neither=evaluation.neither,
        figures=figures,
        history=history,
        findings=[*map(giveaway_finding, dataset.manifest.giveaways), *findings],
        suspects=suspects,
        facts=facts,
        settings=settings,
        environment=environment,
        commands=next_commands(run.folder, run.config_file, kinds, setup, history),
        note=dataset.note,
    )
    write_report(run.report_file, report)


def _fingerprints(images: LabeledImages, config: Config) -> bytes:
    samples = (np.array([sample]) for sample in range(len(images)))  # one image at a time: all would fill the memory
    pixels = (images.pixels(sample, config.data.image_size)[0] for sample in samples)
    return pack_fingerprints(compute_fingerprints(pixels))


def _training_conditions(config: Config) -> str:
    """Why figures measured during training differ from those of the validation split, in words."""
    conditions = {
        "augmented": config.augmentation.enabled,
        "with dropout": config.network.dropout_rate > 0,
        "labels smoothed": config.training.label_smoothing > 0,
        "loss of both outputs": config.network.neither_output,
    }
    return ", ".join(words for words, applies in conditions.items() if applies)


def _facts(training: Training) -> list[tuple[str, str]]:
    size = training.config.data.image_size
    return [
        ("recipe", training.config.recipe),
        ("weights", f"{training.model.count_params():,}, all learned from scratch"),
        ("input", f"{size} x {size} pixels; photos of any shape are squashed to this square"),
        ("training images", f"{len(training.loader.images):,}"),
        ("time", f"{sum(row['seconds'] for row in training.state.history) / 60:.0f} minutes of training"),
    ]


def _settings(config: Config) -> list[tuple[str, str]]:
    sections = config.model_dump(exclude={"recipe"})
    return [
        (f"{name}.{key}", toml_value(value)) for name, section in sections.items() for key, value in section.items()
    ]


def _value_in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _setup(training: Training, dataset: Dataset) -> TrainingSetup:
    rows = dataset.manifest.rows
    sides = [min(map(int, row.size.split("x"))) for row in rows if row.split == "train"]
    usable = [row for row in rows if row.perceptual_hash and "label_conflict" not in row.issues.split(";")]
    return TrainingSetup(
        training.config,
        num_train=len(training.loader.images),
        photo_side=int(np.median(sides)),
        num_usable=len(usable),
        num_validation=len(training.validation),
        is_synthetic=dataset.manifest.is_synthetic,
    )
