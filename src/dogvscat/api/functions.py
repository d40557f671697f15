"""The functions of `import dogvscat`, with plain arguments: paths as text, settings as a dictionary. The commands call
them too. Heavy packages are imported inside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dogvscat.api.extras import need_train_extra
from dogvscat.stderr import Reporter

if TYPE_CHECKING:
    import os

    import keras

    from dogvscat.bundle.evaluation import Evaluation
    from dogvscat.learning.monitor.monitor import Log
    from dogvscat.learning.run import Run
    from dogvscat.photos.audit import Audit

    AnyPath: TypeAlias = str | os.PathLike[str]

Settings: TypeAlias = Mapping[str, Any] | Sequence[str]
"""`{"training.epochs": 5}`, or `["training.epochs=5"]` as on the command line."""


def train(
    photos: AnyPath | None = None,
    recipe: str = "fast",
    *,
    settings: Settings = (),
    config: AnyPath | None = None,
    out: AnyPath | None = None,
    neither: AnyPath | None = None,
    relabel: AnyPath | None = None,
    exclude: AnyPath | None = None,
    watch_port: int | None = None,
    log: Log = "csv",
    report: Reporter = print,
) -> Run:
    """Train a network from scratch, evaluate it, and write a run folder, as `dogvscat train` does.

    Example:
        ```python
        import dogvscat

        run = dogvscat.train("photos/", "classic", settings={"training.epochs": 5})
        print(run)
        ```

    Args:
        photos: A folder or zip with one folder of photos per class. None stands for the same as on the command line:
            the photos that DOGVSCAT_DATA names, else the public archive. The archive is downloaded; if that fails, the
            network learns from drawings.
        recipe: `fast`, `classic`, `best`, or a TOML file.
        settings: Override those of the recipe and of `config`.
        config: A TOML file with settings, or None.
        out: The new run folder, or None for the next free one below `runs/`.
        neither: A folder or zip of photos that show neither class, or None.
        relabel: A table of corrections as `audit --labels` writes it, or None.
        exclude: A text file with one path per line: these photos are left out, or None.
        watch_port: Port of a page on this machine that shows the training while it runs, 0 for any free port, or None.
        log: `tensorboard` writes event files for TensorBoard, in addition to history.csv.
        report: Receives messages for the user. A line per epoch goes to stderr.

    Raises:
        ConfigError: if a setting is unknown or impossible.
        DataError: if the photos cannot be used.
        UsageError: if `out` exists and is not an empty folder, another process writes to it, the port is taken, a
            package is missing, or KERAS_BACKEND names no usable backend.
        DivergedError: if the loss is no longer a finite number.
        ModelError: if the exported graph does not answer as the network does.
        WriteError: if a file cannot be written.
        Interrupted: on Ctrl-C; continue with `resume`.
    """
    from dogvscat.learning.inactive_settings import why_inactive
    from dogvscat.photos.default_photos import find_photos
    from dogvscat.settings.resolve import resolve_config

    texts = _as_texts(settings)
    resolved = resolve_config(recipe, _path(config), texts)
    for setting in texts:
        if why := why_inactive(resolved, setting.partition("=")[0].strip()):
            report(why)
    need_train_extra()
    from dogvscat.learning import train as training
    from dogvscat.learning.monitor.monitor import Monitor
    from dogvscat.learning.new_run import refuse_existing

    run_dir, files = _path(out), (_path(relabel), _path(neither), _path(exclude))
    refuse_existing(run_dir)  # this and the port before photos are searched for, or even downloaded
    with Monitor(watch_port, log, report) as monitor:
        source = find_photos(_path(photos), monitor.report)
        return training.train(source, resolved, run_dir, monitor.report, *files, monitor)


def resume(
    run: AnyPath,
    settings: Settings = (),
    *,
    watch_port: int | None = None,
    log: Log = "csv",
    report: Reporter = print,
) -> Run:
    """Resume a training that was stopped, as `dogvscat train --resume` does. The result is the same as without a stop.

    Args:
        run: The run folder, or a `Run`.
        settings: A few may change, such as `training.epochs`.
        watch_port: As for `train`.
        log: As for `train`.
        report: As for `train`.

    Raises:
        ModelError: if the folder holds no run, or one of its files is damaged.
        UsageError: if a setting may not change, another process trains in the folder, or the port is taken.
        DogvscatError: otherwise as from `train`.
    """
    need_train_extra()
    from dogvscat.learning import train as training
    from dogvscat.learning.monitor.monitor import Monitor

    with Monitor(watch_port, log, report) as monitor:
        return training.resume(Path(run), _as_texts(settings), monitor.report, monitor)


def evaluate(
    model: AnyPath | None,
    photos: AnyPath,
    *,
    out: AnyPath | None = None,
    class_folders: Mapping[str, str] | None = None,
    only: AnyPath | None = None,
    threads: int = 0,
    exact: bool = False,
    public_key: AnyPath | None = None,
    report: Reporter = print,
) -> Evaluation:
    """Evaluate a model on labeled photos, as `dogvscat evaluate` does. Photos that it was trained on are recognized.

    Args:
        model: A run folder, a `Run`, a bundle, or None for the bundled model.
        photos: A folder or zip with one folder of photos per class.
        out: Folder for a report, figures and predictions, or None.
        class_folders: The class of each folder, by the folder's name, where that is not obvious.
        only: A text file with one path per line: only these photos are evaluated, or None.
        threads: CPU threads, 0 for as many as there are CPUs that this process may use.
        exact: Ask only the full network, even where a quick first network of the model is sure.
        public_key: A PEM file; the model must be signed with the matching private key. None: no signature is needed.
        report: As for `train`.

    Raises:
        ModelError: if there is no usable model.
        DataError: if the classes differ from the model's, or no photo can be evaluated.
        UsageError: if `out` is a run folder or a bundle, or another process writes to it.
        WriteError: if the results cannot be written.
    """
    from dogvscat.bundle import evaluation
    from dogvscat.photos.reading.photo_list import only_listed, read_photo_list
    from dogvscat.photos.reading.sources import open_photos

    photo_list = read_photo_list(Path(only)) if only else None
    source = open_photos(Path(photos), class_folders)
    source = only_listed(source, photo_list) if photo_list else source
    return evaluation.evaluate(_path(model), source, _path(out), report, threads, _path(public_key), exact=exact)


def audit(
    photos: AnyPath,
    *,
    out: AnyPath | None = None,
    class_folders: Mapping[str, str] | None = None,
    isolate: bool = False,
) -> Audit:
    """Find broken, duplicate, odd and blank photos, as `dogvscat audit` does. No photo is changed.

    Args:
        photos: A folder or zip with one folder of photos per class.
        out: Folder for issues.csv and audit.html, or None.
        class_folders: As for `evaluate`.
        isolate: Decode photos in separate processes with limits on CPU time and memory: for photos from strangers.

    Raises:
        DataError: if the photos cannot be used.
        UsageError: if another process writes to `out`.
        WriteError: if the results cannot be written.
    """
    from contextlib import ExitStack

    from dogvscat.atomic import refuse_unwritable
    from dogvscat.locks import exclusive
    from dogvscat.photos.audit import audit_photos, write_audit
    from dogvscat.photos.reading.sources import open_photos

    source, folder = open_photos(Path(photos), class_folders), _path(out)
    with ExitStack() as stack:
        if folder is not None:
            refuse_unwritable(folder)
            stack.enter_context(exclusive(folder, lock_outside=True))
        result = audit_photos(source, isolate=isolate)
        if folder is not None:
            write_audit(folder, result, source)
    return result


def load_network(model: AnyPath | None = None, *, threads: int = 0) -> keras.Model:
    """The network of a model as a Keras model, with its trained weights.

    From uint8 pixels (n, image_size, image_size, 3) to float32 logits (n, 1), or (n, 2) with the second output
    `neither`. They are not calibrated, and not averaged over the mirror image; `Predictor` does both.

    Args:
        model: As for `evaluate`.
        threads: CPU threads, 0 for as many as there are CPUs that this process may use.

    Raises:
        ModelError: if there is no usable model.
        UsageError: if a package is missing, or Keras already runs with other threads.
    """
    need_train_extra()
    from dogvscat.bundle.folder import load_bundle
    from dogvscat.learning.engine import open_engine

    bundle = load_bundle(_path(model))
    open_engine(threads)
    from dogvscat.learning.interpret.layer_maps import load_bundled_network

    return load_bundled_network(bundle)


def _as_texts(settings: Settings) -> list[str]:
    from dogvscat.settings.toml import toml_value

    if isinstance(settings, Mapping):
        # NumPy's numbers, as from a loop over np.logspace, become Python's, whose text is TOML.
        values = {name: value.item() if hasattr(value, "item") else value for name, value in settings.items()}
        return [f"{name}={toml_value(value)}" for name, value in values.items()]
    return [settings] if isinstance(settings, str) else list(settings)


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)
