"""After the last step: judge the training and validation pictures, choose the decision, publish the bundle, report."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from dogvscat import atomic
from dogvscat.bundle.card import Provenance
from dogvscat.bundle.graph import open_graph, run_activation, run_graph
from dogvscat.bundle.publish import publish_bundle
from dogvscat.config import Config
from dogvscat.judging.answers import Answers
from dogvscat.judging.calibration import cross_fit, fit_decision
from dogvscat.judging.decision import Decision
from dogvscat.judging.diagnosis import diagnose, suspected_mislabelled
from dogvscat.judging.history import History
from dogvscat.judging.intervals import Figure
from dogvscat.judging.judge import SplitResult, judge_split, write_pictures
from dogvscat.judging.metrics import measure_neither
from dogvscat.judging.predictions import write_predictions
from dogvscat.judging.report import Report, write_report
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.finalize.onnx_export import check_parity, export_onnx
from dogvscat.learning.loop.checkpoint import read_variables
from dogvscat.learning.loop.training import Training, predict_logits
from dogvscat.learning.loop.weight_averaging import final_network
from dogvscat.learning.run.create import hardware
from dogvscat.learning.run.folder import Run
from dogvscat.settings import toml_value

_PARITY_PICTURES = 64


def finish(run: Run, training: Training, dataset: Dataset) -> None:
    """Write everything that a finished run holds beside its weights; doing it again gives the same files."""
    network = final_network(training.model, training.config, training.loader.pictures)
    judged = _judge(network, training, dataset)
    atomic.write_json(run.metrics_file, judged.to_dict())
    write_predictions(run.predictions_file, [result.answers for result in judged.results.values()])
    _publish(run, network, training, dataset, judged)
    _tell(run, training, dataset, judged)


@dataclass(frozen=True)
class _Judged:
    """What was chosen on the validation pictures, and what was found."""

    decision: Decision
    folds: int
    results: dict[str, SplitResult]
    neither: dict[str, Figure]
    """About photos of neither class that took no part; empty where there are none."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for `metrics.json`."""
        metrics = {name: result.to_dict() for name, result in self.results.items()}
        return metrics | ({"neither": {"figures": self._neither_figures()}} if self.neither else {})

    def figures(self) -> dict[str, dict[str, Any]]:
        """Split -> figure -> value with interval, for the card."""
        figures = {name: result.to_dict()["figures"] for name, result in self.results.items()}
        return figures | ({"neither": self._neither_figures()} if self.neither else {})

    def _neither_figures(self) -> dict[str, Any]:
        return {name: figure.to_dict() for name, figure in self.neither.items()}


def _judge(network: keras.Model, training: Training, dataset: Dataset) -> _Judged:
    """Figures of both splits in inference mode; those of validation cross-fitted, since it chose the decision."""
    manifest, size = dataset.manifest, training.config.data.image_size
    rows = manifest.of_split("validation")
    y_true, logits = manifest.labels(rows), predict_logits(network, training.validation, size)
    decision = fit_decision(y_true, *logits)
    fitted = cross_fit(y_true, logits.positive, [row.group for row in rows], logits.neither)
    paths = [row.path for row in rows]
    validation = Answers("validation", manifest.class_names, paths, y_true, fitted.y_prob, fitted.y_pred, fitted.unsure)
    train = Answers.decided(
        "train",
        manifest.class_names,
        [row.path for row in manifest.of_split("train")],
        training.loader.pictures.y_true,
        predict_logits(network, training.loader.pictures, size),
        decision,
    )
    results = {"train": judge_split(train), "validation": judge_split(validation)}
    kept = dataset.neither_pictures("test")
    neither = {} if kept is None else measure_neither(predict_logits(network, kept, size), logits, decision)
    return _Judged(decision, fitted.folds, results, neither)


def _publish(run: Run, network: keras.Model, training: Training, dataset: Dataset, judged: _Judged) -> None:
    decision = judged.decision
    graph = export_onnx(network, decision.temperature)
    samples = np.arange(min(_PARITY_PICTURES, len(training.validation)))
    some = training.validation.pixels(samples, training.config.data.image_size)
    session = open_graph(graph, "the new bundle")
    check_parity(network, decision.temperature, some, run_graph(session, some), run_activation(session, some))
    environment = run.load_environment()
    origin = Provenance(
        data_digest=dataset.manifest.digest,
        drawn_sample=dataset.manifest.is_synthetic,
        num_train=len(training.loader.pictures),
        num_validation=len(training.validation),
        num_neither=0 if training.loader.neither is None else len(training.loader.neither),
        epoch=training.state.chosen_epoch(training.config.training),
        commit=environment["commit"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hardware=hardware(),
    )
    weights = read_variables(network.weights)
    class_names = dataset.manifest.class_names
    publish_bundle(
        run.bundle_folder,
        graph,
        weights,
        class_names,
        training.config,
        decision,
        origin,
        judged.figures(),
        run.load_known_failures(),
    )


def _tell(run: Run, training: Training, dataset: Dataset, judged: _Judged) -> None:
    """Pictures and report."""
    history = _history(training)
    validation, train = judged.results["validation"], judged.results["train"]
    pictures = write_pictures(
        run.folder,
        validation,
        judged.decision,
        lambda indices: training.validation.pixels(np.asarray(indices), training.config.data.image_size),
        history,
        dataset.note,
    )
    report = Report(
        title=run.folder.resolve().name,
        splits=[validation, train],
        decision=judged.decision,
        folds=judged.folds,
        neither=judged.neither,
        pictures=pictures
        | ({"augmentation": run.augmentation_picture} if training.config.augmentation.enabled else {}),
        history=history,
        findings=diagnose(history, train.figures, validation.figures),
        suspects=suspected_mislabelled(validation.answers),
        facts=_facts(training),
        settings=_settings(training.config),
        environment=[(name, _in_words(value)) for name, value in run.load_environment().items()],
        commands=_commands(run, history),
        note=dataset.note,
    )
    write_report(run.report_file, report)


def _history(training: Training) -> History:
    settings, state = training.config.training, training.state
    return History(
        rows=state.history,
        best_epoch=state.chosen_epoch(settings),
        stopped_early=state.stopped_early(settings),
        num_train=len(training.loader.pictures),
        num_validation=len(training.validation),
        learned_on=_learned_on(training.config),
    )


def _learned_on(config: Config) -> str:
    """How training figures differ from those of validation."""
    differences = {
        "augmented": config.augmentation.enabled,
        "with dropout": config.network.dropout > 0,
        "labels smoothed": config.training.label_smoothing > 0,
        "loss of both outputs": config.network.neither_output,
    }
    return ", ".join(words for words, holds in differences.items() if holds)


def _facts(training: Training) -> list[tuple[str, str]]:
    size = training.config.data.image_size
    return [
        ("recipe", training.config.recipe),
        ("weights", f"{training.model.count_params():,}, all learned from scratch"),
        ("input", f"{size} x {size} pixels; photos of any size are squashed to it"),
        ("training pictures", f"{len(training.loader.pictures):,}"),
        ("time", f"{sum(row['seconds'] for row in training.state.history) / 60:.0f} minutes of training"),
    ]


def _settings(config: Config) -> list[tuple[str, str]]:
    sections = config.model_dump(exclude={"recipe"})
    return [
        (f"{name}.{key}", toml_value(value)) for name, section in sections.items() for key, value in section.items()
    ]


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commands(run: Run, history: History) -> list[tuple[str, str]]:
    folder, longer = shlex.quote(str(run.folder)), f"training.epochs={2 * history.last_epoch}"
    if history.stopped_early:
        longer = "training.early_stopping_patience=20"
    return [
        (f"dogvscat predict PHOTO --model {folder}", "what this network says about a photo of yours"),
        (f"dogvscat evaluate {folder} PHOTOS --out FOLDER", "judge it on photos it has not seen"),
        (f"dogvscat train --resume {folder} --set {longer}", "let it train longer"),
    ]
