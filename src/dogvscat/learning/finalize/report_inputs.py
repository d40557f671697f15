"""The report of a finished training: figures, findings, facts, settings and the commands to try next."""

import shlex

import numpy as np

from dogvscat.config import Config
from dogvscat.judging.diagnosis import diagnose, suspected_mislabelled
from dogvscat.judging.evaluate import write_figures
from dogvscat.judging.history import History
from dogvscat.judging.report import Report, write_report
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.finalize.finalize import Evaluation
from dogvscat.learning.loop.training import Training
from dogvscat.learning.run import Run
from dogvscat.settings import toml_value


def write_run_report(run: Run, training: Training, dataset: Dataset, evaluation: Evaluation) -> None:
    """Draw the figures and write report.html.

    Raises:
        WriteError: if they cannot be written.
    """
    history = _history(training)
    validation, train = evaluation.results["validation"], evaluation.results["train"]
    image_size, augmentation = training.config.data.image_size, training.config.augmentation
    figures = write_figures(
        run.folder,
        validation,
        evaluation.decision,
        lambda indices: training.validation.pixels(np.asarray(indices), image_size),
        history,
        dataset.note,
    )
    report = Report(
        title=run.folder.resolve().name,
        splits=[validation, train],
        decision=evaluation.decision,
        folds=evaluation.folds,
        neither=evaluation.neither,
        figures=figures | ({"augmentation": run.augmentation_picture} if augmentation.enabled else {}),
        history=history,
        findings=diagnose(history, train.metrics, validation.metrics),
        suspects=suspected_mislabelled(validation.predictions),
        facts=_facts(training),
        settings=_settings(training.config),
        environment=[(name, _value_in_words(value)) for name, value in run.load_environment().items()],
        commands=_next_commands(run, history),
        note=dataset.note,
    )
    write_report(run.report_file, report)


def _history(training: Training) -> History:
    settings, state = training.config.training, training.state
    return History(
        rows=state.history,
        best_epoch=state.chosen_epoch(settings),
        stopped_early=state.stopped_early(settings),
        num_train=len(training.loader.images),
        num_validation=len(training.validation),
        train_conditions=_training_conditions(training.config),
    )


def _training_conditions(config: Config) -> str:
    """Why figures measured during training differ from those of the validation split, in words."""
    conditions = {
        "augmented": config.augmentation.enabled,
        "with dropout": config.network.dropout > 0,
        "labels smoothed": config.training.label_smoothing > 0,
        "loss of both outputs": config.network.neither_output,
    }
    return ", ".join(words for words, applies in conditions.items() if applies)


def _facts(training: Training) -> list[tuple[str, str]]:
    size = training.config.data.image_size
    return [
        ("recipe", training.config.recipe),
        ("weights", f"{training.model.count_params():,}, all learned from scratch"),
        ("input", f"{size} x {size} pixels; photos of any size are squashed to it"),
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


def _next_commands(run: Run, history: History) -> list[tuple[str, str]]:
    folder, longer = shlex.quote(str(run.folder)), f"training.epochs={2 * history.last_epoch}"
    if history.stopped_early:
        longer = "training.early_stopping_patience=20"
    return [
        (f"dogvscat predict PHOTO --model {folder}", "what this network answers for a photo of yours"),
        (f"dogvscat evaluate {folder} PHOTOS --out FOLDER", "evaluate it on photos it has not seen"),
        (f"dogvscat train --resume {folder} --set {longer}", "train it longer"),
    ]
