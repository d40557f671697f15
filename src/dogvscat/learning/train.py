"""One training from top to bottom: read the photos, open Keras, train, evaluate, write the bundle and the report."""

from collections.abc import Sequence
from pathlib import Path

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import Interrupted, UsageError
from dogvscat.learning.data.batches import write_augmentation_preview
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, choose_backend, open_engine
from dogvscat.learning.environment import EXTENDABLE, InputPaths
from dogvscat.learning.inputs import read_dataset, reread_dataset, with_neither_output
from dogvscat.learning.monitor.monitor import Monitor
from dogvscat.learning.new_run import create_run, new_folder, refuse_existing
from dogvscat.learning.run import Run
from dogvscat.locks import exclusive
from dogvscat.settings.resolve import with_settings
from dogvscat.stderr import Reporter
from dogvscat.text import shell_word


def train(
    photos: Path,
    config: Config,
    out: Path | None,
    report: Reporter,
    relabel_file: Path | None = None,
    neither: Path | None = None,
    exclude: Path | None = None,
    monitor: Monitor | None = None,
) -> Run:
    """Train from scratch, evaluate, and write a run folder.

    Example:
        ```python
        from pathlib import Path

        from dogvscat.learning.train import train
        from dogvscat.settings.resolve import resolve_config

        run = train(Path("photos"), resolve_config("fast"), Path("runs/first"), print)
        print(run.load_metrics()["validation"]["figures"]["accuracy"])
        ```

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting.
        out: The run folder, or None for the next free one below `runs/`.
        report: Receives a sentence for each thing that happens.
        relabel_file: A table of corrections as `audit --labels` writes it, or None. It changes only the training split,
            after the split was drawn: validation and test photos stay the same, with their labels as filed.
        neither: A folder or zip of photos that show neither class, or None. With them the network learns a second
            output: whether a photo shows neither. Some of them are held out to measure how many the network recognizes.
        exclude: A text file with one path per line: these photos are left out, or None.
        monitor: Shows the training while it runs, if given; its method `report` should be `report`.

    Raises:
        DataError: if the photos cannot be used, `relabel_file` is not such a table, or `exclude` lists none of them.
        UsageError: if `out` exists and is not an empty folder, another process writes to it,
            `network.neither_output` is set without `neither`, or KERAS_BACKEND names no usable backend.
        DivergedError: if the loss is no longer a finite number.
        ModelError: if the exported graph does not answer as the network does.
        WriteError: if a file cannot be written; what was finished before is kept.
        Interrupted: on Ctrl-C; continue with `resume`.
    """
    refuse_existing(out)
    choose_backend()
    config = with_neither_output(config, neither)
    dataset, paths = read_dataset(InputPaths(photos, neither, exclude), relabel_file, config, report)
    report("Loading Keras")
    compute = open_engine(config.training.threads, config.training.precision)
    with new_folder(out, config.recipe) as folder:
        run = create_run(folder, config, dataset, paths, compute)
        _fit_and_finalize(run, config, dataset, compute, report, monitor)
    return run


def resume(folder: Path, settings: Sequence[str], report: Reporter, monitor: Monitor | None = None) -> Run:
    """Resume a run that was stopped or killed, or evaluate one again. The result is as if it had never stopped.

    Threads, arithmetic and backend are those that it was started with.

    Args:
        folder: The run folder.
        settings: `section.key=value`, of `EXTENDABLE` only.
        report: Receives a sentence for each thing that happens.
        monitor: As for `train`.

    Raises:
        ModelError: if the folder holds no run, if one of its files is damaged, or if the exported graph does not answer
            as the network does.
        UsageError: if a setting may not change, or another process trains in the folder.
        DataError: if the photos are gone or have changed, and the pixel cache is gone as well.
        DivergedError: if the loss is no longer a finite number.
        WriteError: if the folder cannot be written.
        Interrupted: on Ctrl-C; the same call resumes.
    """
    run = Run(folder)
    run.load_config()  # first, so that no lock file is written into a folder that is not a run
    atomic.refuse_unwritable(folder)
    with exclusive(folder):
        environment = run.load_environment()
        config = _extended(run.load_started_config(), settings)
        dataset = reread_dataset(run, config, environment)
        precision = environment.get("precision", config.training.precision)
        compute = open_engine(environment["threads"], precision, environment.get("backend"))
        run.save_config(config)
        _fit_and_finalize(run, config, dataset, compute, report, monitor)
    return run


def _fit_and_finalize(
    run: Run,
    config: Config,
    dataset: Dataset,
    compute: ComputeSettings,
    report: Reporter,
    monitor: Monitor | None,
) -> None:
    # These need Keras, which engine.py hands out only now that it is open.
    from dogvscat.learning.finalize.finalize import evaluate_training, publish, write_run_report
    from dogvscat.learning.loop.inference import final_network
    from dogvscat.learning.loop.training import set_up_training

    training = set_up_training(run, config, dataset, compute, report)
    if training.state.is_finished(config.training):
        limits = " and ".join(training.state.limits_reached(config.training))
        report(f"Nothing remains to train. To continue, raise {limits} with --set.")
    elif run.report_file.exists():  # it is about fewer epochs
        report(f"The earlier report is kept as {run.keep_report(training.state.epoch)}.")
    write_augmentation_preview(run.augmentation_picture, training.loader, dataset.note)
    if monitor is not None:
        training.observers = monitor.observers(run, training, dataset)
    try:
        training.fit()
    except Interrupted as stop:
        stop.hint = f"Continue with: dogvscat train --resume {shell_word(run.folder)}"
        raise
    report("Evaluating, and writing the bundle and the report.")
    network = final_network(training.model, config, training.loader.images)
    evaluation = evaluate_training(run, network, training, dataset)
    publish(run, network, training, dataset, evaluation)
    write_run_report(run, training, dataset, evaluation)


def _extended(config: Config, settings: Sequence[str]) -> Config:
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key not in EXTENDABLE:
            hint = f"Only these may change: {', '.join(EXTENDABLE)}. Any other change needs a new run."
            raise UsageError(f"{key} cannot change when a run is resumed", hint=hint)
    return with_settings(config, settings)
