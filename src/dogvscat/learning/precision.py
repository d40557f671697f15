"""Which arithmetic is the faster one here? bfloat16 has half the bytes, but few processors compute in it quickly."""

import time
from functools import lru_cache

from keras import ops

from dogvscat.config import TrainingConfig
from dogvscat.stderr import quiet_stderr

_ROUNDS = 9
_WORTH = 0.8
"""bfloat16 is chosen where it takes at most this share of the time: it must be worth its fewer digits, and on a noisy
machine more than luck."""


def settled(settings: TrainingConfig, begun_in: str | None = None) -> TrainingConfig:
    """The same settings, in which a precision of `auto` has become one of the two.

    Args:
        settings: Of a training.
        begun_in: What a run that goes on was begun in; None to take the faster one here.
    """
    if settings.precision != "auto":
        return settings
    return settings.model_copy(update={"precision": begun_in or faster_precision()})


@lru_cache(maxsize=1)
def faster_precision() -> str:
    """Time a convolution like those of the network in both; a fifth to half a second on two CPU cores.

    Processors with bfloat16 in their matrix or vector units gain from it. Others have to imitate it: there it takes
    twice to four times as long as float32, or cannot be computed at all.
    """
    with quiet_stderr():  # oneDNN complains where it has no bfloat16, which is what is to be found out here
        try:
            rounds = [(_convolution("float32"), _convolution("bfloat16")) for _ in range(1 + _ROUNDS)]
        except Exception:  # each backend has errors of its own; float32 works in all of them
            return "float32"
    in_float32, in_bfloat16 = map(min, zip(*rounds, strict=True))  # the first prepares kernels: never the fastest
    return "bfloat16" if in_bfloat16 <= _WORTH * in_float32 else "float32"


def _convolution(precision: str) -> float:
    """Its seconds."""
    pictures = ops.ones((16, 32, 32, 64), precision)
    kernel = ops.ones((3, 3, 64, 64), precision)
    started = time.perf_counter()
    convolved = ops.conv(pictures, kernel, padding="same")  # (16, 32, 32, 64)
    float(ops.cast(convolved[0, 0, 0, 0], "float32"))  # waits where the backend only queues
    return time.perf_counter() - started
