"""Predictions for many photos on a Ray cluster: paths are sent out, predictions come back in order (Ray Data).

The bundle is sent along with the work, so that only the photos must be visible from every machine.
"""

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dogvscat._version import installed_versions
from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.predict.prediction import Failure, Prediction
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.cluster import alive_machines, first_line, refuse_missing_package, refuse_other_versions
from dogvscat.errors import ClusterError, DogvscatError, ImageError
from dogvscat.photos.reading.object_store import is_url, read_object

_BLOCK = 8 * BATCH_SIZE
"""Photos sent out at a time: whole batches, so that predictions equal those of a single machine."""
_READERS = 8
_RETRIES = 3
"""How many times work is repeated after its worker died. The limit is for a photo that kills every worker."""


def predict_on_cluster(bundle: Bundle, paths: Iterable[str], *, exact: bool = False) -> Iterator[Prediction | Failure]:
    """The predictions for some photos, in order. Call it within `cluster.ray_cluster`.

    Args:
        bundle: A verified bundle.
        paths: Files as seen from every machine, or URLs for fsspec.
        exact: Ask only the full network.

    Raises:
        ClusterError: if machines have other versions installed, or workers keep dying.
    """
    photo_paths, class_names = list(paths), bundle.card.class_names
    if not photo_paths:
        return
    with _translated_ray_errors():
        blocks = _prediction_dataset(bundle, photo_paths, exact).iter_batches(batch_size=None, batch_format="pyarrow")
        rows = itertools.chain.from_iterable(block.to_pylist() for block in blocks)
        for path, row in zip(photo_paths, rows, strict=True):
            if row["error"] is not None:
                yield Failure(path, row["error"], row["message"], row["hint"])
            else:
                probabilities = {name: row[f"probability_{name}"] for name in class_names}
                yield Prediction(path, row["label"], probabilities, row["neither"], row["reason"])


@contextmanager
def _translated_ray_errors() -> Iterator[None]:
    """Raise the errors that a worker raised on purpose unchanged, and a ClusterError for dead workers."""
    from ray.exceptions import RayActorError, RayError, RayTaskError

    try:
        yield
    except RayError as error:
        # Ray wraps what a worker raised, sometimes more than once.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DogvscatError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is not None:
            raise cause from None
        refuse_missing_package(error)
        if isinstance(error, RayTaskError) and not isinstance(error, RayActorError):  # a bug: show its traceback
            raise
        hint = "Look at the memory and the logs of the machines, then run the same command again."
        message = f"workers died {_RETRIES + 1} times. The last reason: {first_line(error)}"
        raise ClusterError(message, hint=hint) from None


def _prediction_dataset(bundle: Bundle, paths: list[str], exact: bool) -> Any:
    """A Ray dataset with one row per photo, as from `_Worker`; Ray computes it while it is read."""
    import logging

    import pyarrow
    import ray.data
    from ray.util.annotations import RayDeprecationWarning

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False  # ours is already on stderr
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # A file name may hold any bytes, and Arrow's strings are UTF-8: hence a readable column, and one of bytes.
    names = [os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths]
    locations = pyarrow.array(map(_encode_location, paths), pyarrow.binary())
    table = pyarrow.table({"path": names, "location": locations})
    blocks = [table.slice(start, _BLOCK) for start in range(0, len(paths), _BLOCK)]
    cores = max(1, sum(machine.cores for machine in alive_machines()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # there is no other way yet to limit the retries
        return ray.data.from_arrow(blocks).map_batches(
            _Worker,
            fn_constructor_args=(bundle, installed_versions(), exact),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(cores, len(blocks))),
            ray_remote_args_fn=_limited_retries,
        )


def _limited_retries() -> dict[str, int]:
    return {"max_restarts": _RETRIES, "max_task_retries": _RETRIES}


def _encode_location(path: str) -> bytes:
    """A URL or an absolute path as bytes, independent of the worker's working directory and of the name's encoding."""
    return os.fsencode(path if is_url(path) else Path(path).absolute())


class _Worker:
    """On a machine of the cluster: one predictor on one core.

    Args:
        bundle: Verified where the command was given.
        versions: `installed_versions` there.
        exact: Ask only the full network.
    """

    def __init__(self, bundle: Bundle, versions: dict[str, str], exact: bool) -> None:
        self._versions = versions
        self._predictor = Predictor(bundle, threads=1, exact=exact)

    def __call__(self, table: Any) -> Any:
        """The predictions for a table with the columns `path` and `location`, in order.

        The row of a photo that cannot be used has its error instead.
        """
        import pyarrow

        refuse_other_versions(self._versions)  # not in __init__: Ray does not pass on errors raised there
        locations = [os.fsdecode(location) for location in table["location"].to_pylist()]
        with ThreadPoolExecutor(_READERS) as pool:  # an object store takes its time to answer
            photos = list(pool.map(_open_location, locations))
        predictions = iter(self._predictor.predict([photo for photo in photos if not isinstance(photo, Failure)]))
        results = [photo if isinstance(photo, Failure) else next(predictions) for photo in photos]
        rows = [self._row(path, result) for path, result in zip(table["path"].to_pylist(), results, strict=True)]
        return pyarrow.Table.from_pylist(rows, schema=self._schema())

    def _row(self, path: str, result: Prediction | Failure) -> dict[str, Any]:
        if isinstance(result, Failure):
            return {"path": path, "error": result.code, "message": result.message, "hint": result.hint}
        # With a prefix, since a class may have the name of another column.
        probabilities = {f"probability_{name}": number for name, number in result.probabilities.items()}
        return {"path": path, "label": result.label, "reason": result.reason, "neither": result.neither} | probabilities

    def _schema(self) -> Any:
        import pyarrow

        probabilities = [f"probability_{name}" for name in self._predictor.card.class_names]
        numbers = [(name, pyarrow.float64()) for name in (*probabilities, "neither")]
        words = [(name, pyarrow.string()) for name in ("path", "label", "reason", "error", "message", "hint")]
        return pyarrow.schema([*words, *numbers])


def _open_location(location: str) -> bytes | Path | Failure:
    """A path for the predictor to read, the bytes of an object, or why they cannot be read."""
    if not is_url(location):
        return Path(location)
    try:
        return read_object(location)
    except ImageError as error:
        return Failure(location, error.code, error.reason, error.hint)
    except DogvscatError as error:  # this machine cannot reach the object store
        return Failure(location, "unreadable", error.message, error.hint)
