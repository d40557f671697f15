"""Commands as forks of one process that has imported everything: each starts at once, and can be killed."""

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    exit_code: int
    """Negative: the number of the signal that ended it."""
    stdout: str
    stderr: str
    seconds: float
    megabytes: float
    """Largest resident memory."""


def import_everything() -> None:
    """Import what the commands import. TensorFlow must not compute anything here: afterwards it cannot be forked."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # as open_engine sets them; TensorFlow reads them when it is imported
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

    import keras  # noqa: F401

    import dogvscat.cli.main
    import dogvscat.learning.engine  # noqa: F401 - it sets KERAS_HOME, so it comes before Keras


def run_command(arguments: Sequence[str], seconds: float) -> Ending:
    """Run `dogvscat` with these arguments and kill it after some seconds, if it has not ended by then."""

    def work() -> None:
        from dogvscat.cli.main import run

        run([*arguments])

    return run_function(work, seconds)


def run_function(work: Callable[[], object], seconds: float) -> Ending:
    """Call a function in a fork of this process and kill it after some seconds, if it has not returned by then."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if (pid := os.fork()) == 0:
            _become(work, out.fileno(), err.fileno())
        status, usage = _wait(pid, start + seconds)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    seconds, megabytes = time.monotonic() - start, usage.ru_maxrss / 1024
    return Ending(os.waitstatus_to_exitcode(status), texts[0], texts[1], seconds, megabytes)


def _become(work: Callable[[], object], out: int, err: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    try:
        work()
        os._exit(0)
    except BaseException:  # a command ends with os._exit, so this was not foreseen
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)


def _wait(pid: int, deadline: float) -> tuple[int, resource.struct_rusage]:
    while (left := deadline - time.monotonic()) > 0:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage
        time.sleep(min(left, 0.01))
    os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return status, usage
