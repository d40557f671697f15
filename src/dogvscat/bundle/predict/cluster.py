"""Answers about many photos from a Ray cluster: paths go out, answers come back in order (Ray Data).

The bundle travels with the work, so only the photos must be seen from every machine.
"""

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Failure, Prediction, Predictor
from dogvscat.cluster import installed, machines, refuse_missing_package, refuse_other_versions
from dogvscat.errors import ClusterError, DogvscatError, ImageError
from dogvscat.photos.object_store import is_url, read_object

_BLOCK = 8 * BATCH_SIZE
"""Photos handed out at a time; whole batches, so that answers are those of one machine alone."""
_READERS = 8
_RETRIES = 3
"""How often work is begun again whose worker died; a photo that kills it must not do so for ever."""


def answers_of_cluster(bundle: Bundle, paths: Iterable[str]) -> Iterator[Prediction | Failure]:
    """The answers about some photos, in order. Use it within `cluster.joined`.

    Args:
        bundle: A verified bundle.
        paths: Files as seen from every machine, or URLs for fsspec.

    Raises:
        ClusterError: if machines differ in what is installed or keep failing.
    """
    known, names = list(paths), bundle.card.class_names
    if not known:
        return
    with _named():
        blocks = _dataset(bundle, known).iter_batches(batch_size=None, batch_format="pyarrow")
        rows = itertools.chain.from_iterable(block.to_pylist() for block in blocks)
        for path, row in zip(known, rows, strict=True):
            if row["error"] is not None:
                yield Failure(path, row["error"], row["message"], row["hint"])
            else:
                yield Prediction(path, row["label"], {name: row[name] for name in names}, row["neither"])


@contextmanager
def _named() -> Iterator[None]:
    """Turn Ray's errors inside the block into ours: what a worker raised on purpose, or that workers died."""
    from ray.exceptions import RayActorError, RayError, RayTaskError

    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DogvscatError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is not None:
            raise cause from None
        refuse_missing_package(error)
        if isinstance(error, RayTaskError) and not isinstance(error, RayActorError):  # a fault of ours
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = "Look at the memory and the logs of the machines, then give the same command again."
        raise ClusterError(f"workers died {_RETRIES + 1} times, last because: {reason}", hint=hint) from None


def _dataset(bundle: Bundle, paths: list[str]) -> Any:
    import logging

    import pyarrow
    import ray.data
    from ray.util.annotations import RayDeprecationWarning

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False  # ours is on stderr already
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    names = [os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths]
    whole = pyarrow.table({"path": names, "place": pyarrow.array(map(_place, paths), pyarrow.binary())})
    tables = [whole.slice(start, _BLOCK) for start in range(0, len(paths), _BLOCK)]
    cores = max(1, sum(machine.cores for machine in machines()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # there is no other way yet to bound what is begun again
        return ray.data.from_arrow(tables).map_batches(
            _Worker,
            fn_constructor_args=(bundle, installed()),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(cores, len(tables))),
            ray_remote_args_fn=_bounded,
        )


def _bounded() -> dict[str, int]:
    return {"max_restarts": _RETRIES, "max_task_retries": _RETRIES}


def _place(path: str) -> bytes:
    """What a worker is told, whatever bytes a name has and wherever the worker runs."""
    return os.fsencode(path if is_url(path) else Path(path).absolute())


class _Worker:
    """On a machine of the cluster: one network on one core.

    Args:
        bundle: Verified where the command was given.
        versions: `installed` there.
    """

    def __init__(self, bundle: Bundle, versions: dict[str, str]) -> None:
        self._versions = versions
        self._predictor = Predictor(bundle, threads=1)

    def __call__(self, table: Any) -> Any:
        """The answers for a table with the columns `path` and `place`, in order; a bad photo's row has its error."""
        import pyarrow

        refuse_other_versions(self._versions)  # not in __init__: what is raised there reaches nobody as it was
        places = [os.fsdecode(place) for place in table["place"].to_pylist()]
        with ThreadPoolExecutor(_READERS) as pool:  # a store takes its time to answer
            opened = list(pool.map(_opened, places))
        answers = self._predictor.predict([photo for photo in opened if not isinstance(photo, Failure)])
        photos = iter(answers)
        found = [photo if isinstance(photo, Failure) else next(photos) for photo in opened]
        rows = [self._row(path, answer) for path, answer in zip(table["path"].to_pylist(), found, strict=True)]
        return pyarrow.Table.from_pylist(rows, schema=self._schema())

    def _row(self, path: str, answer: Prediction | Failure) -> dict[str, Any]:
        if isinstance(answer, Failure):
            return {"path": path, "error": answer.code, "message": answer.message, "hint": answer.hint}
        return {"path": path, "label": answer.label, **answer.probabilities, "neither": answer.neither}

    def _schema(self) -> Any:
        import pyarrow

        numbers = [(name, pyarrow.float64()) for name in (*self._predictor.card.class_names, "neither")]
        words = [(name, pyarrow.string()) for name in ("error", "message", "hint")]
        return pyarrow.schema([("path", pyarrow.string()), ("label", pyarrow.string()), *numbers, *words])


def _opened(place: str) -> bytes | Path | Failure:
    """A path for the predictor to read, the bytes of an object, or why there are none."""
    if not is_url(place):
        return Path(place)
    try:
        return read_object(place)
    except ImageError as error:
        return Failure(place, error.code, error.reason, error.hint)
    except DogvscatError as error:  # this machine cannot reach the store
        return Failure(place, "unreadable", error.message, error.hint)
