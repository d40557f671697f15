"""The executor of one process: what its job raises comes back with the job's title."""

from pathlib import Path
from typing import NoReturn

import pytest

from dogvscat.errors import Interrupted, ModelError, WriteError
from dogvscat.exploring.execution.job import Job, LocalExecutor


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (KeyboardInterrupt(), Interrupted, "the base, seed 1: stopped between two steps; nothing is lost"),
        (ModelError("no network"), ModelError, "the base, seed 1: no network"),
        (WriteError("disk full"), WriteError, "disk full"),
    ],
)
def test_what_a_job_raises(tmp_path: Path, raised: BaseException, expected: type[Exception], message: str) -> None:
    def work() -> NoReturn:
        raise raised

    executor = LocalExecutor()
    executor.start(Job("the base, seed 1", tmp_path, 1, work))
    with pytest.raises(expected) as caught:
        executor.wait()
    assert str(caught.value) == message
