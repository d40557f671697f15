"""Opens Keras and knows its backends: threads, determinism and arithmetic are settled before Keras computes.

Every file of this package that computes imports Keras from here, `from dogvscat.learning.engine import keras`, which
works only after `open_engine`: a backend that has computed once keeps its number of threads, and TensorFlow reads its
environment when it is imported.
"""

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dogvscat.cpus import available_cpus
from dogvscat.errors import UsageError
from dogvscat.stderr import quiet_stderr

if TYPE_CHECKING:
    import keras as keras

# A folder that cannot exist: no ~/.keras/keras.json changes the arithmetic, and none is written. Keras reads this on
# import, and TensorFlow imports Keras.
os.environ["KERAS_HOME"] = f"{os.devnull}/none"

_ROUNDS = 9
_WORTH_IT = 0.8
"""bfloat16 is chosen where it takes at most this share of the time of float32: the gain must make up for the
fewer digits, and be larger than the noise of a busy machine."""

BACKENDS = ("tensorflow", "jax", "torch")
"""Libraries that Keras can train with; the environment variable KERAS_BACKEND names one."""

EVALUATION_COST = 1 / 3
"""What evaluating an image costs, relative to learning from it: there is no backward pass."""

_is_open = False
_jax_threads: int | None = None


@dataclass(frozen=True)
class ComputeSettings:
    """What may change the last digits of a training, apart from its configuration."""

    threads: int
    """Threads of the CPU."""
    precision: str = "auto"
    """Arithmetic of the training, `float32` or `bfloat16`; `auto` only until `open_engine` has settled it."""
    backend: str = "tensorflow"
    """One of `BACKENDS`."""


def open_engine(threads: int, precision: str = "float32", backend: str | None = None) -> ComputeSettings:
    """Prepare the backend; from then on `keras` can be imported from this module. Later calls must agree on `threads`.

    Determinism switches XLA off in TensorFlow; in return equal seeds give equal bits. oneDNN's convolutions are asked
    for by name: TensorFlow takes them by itself only where the processor has instructions made for networks
    (AVX512-VNNI, bfloat16), and on others they save a quarter to two fifths of the time (docs/experiments.md).
    Source: tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism

    Args:
        threads: CPU threads of the network, 0 for all that this process may use.
        precision: `float32`, `bfloat16`, or `auto` to measure which one is faster here.
        backend: One of `BACKENDS`; None for the one that KERAS_BACKEND names, or TensorFlow if it names none.

    Returns:
        The threads in use, the arithmetic chosen, and the backend.

    Raises:
        UsageError: if this process already computes with another number of threads or another backend, if there is no
            such backend, or if this machine cannot compute in bfloat16 and is asked to.
    """
    global _is_open
    backend = choose_backend(backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets with ten lines otherwise
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX leaves GPU memory to other processes
    threads = threads or available_cpus()
    match backend:
        case "tensorflow":
            _prepare_tensorflow(threads)
        case "jax":
            _prepare_jax(threads)
        case "torch":
            import torch

            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=True)
    _is_open = True
    if precision == "bfloat16":
        _refuse_missing_bfloat16()
    return ComputeSettings(threads, faster_precision() if precision == "auto" else precision, backend)


def choose_backend(backend: str | None = None) -> str:
    """Make Keras use this backend when it is imported later; imports neither Keras nor the backend.

    Args:
        backend: As for `open_engine`.

    Returns:
        Its name.

    Raises:
        UsageError: if there is no such backend, it is not installed, or this process already computes with another.
    """
    name = backend or _backend()
    if name not in BACKENDS:
        hint = f"Set it to one of these: {', '.join(BACKENDS)}. Without it, TensorFlow is used."
        raise UsageError(f"KERAS_BACKEND is {name!r}, which is not a backend that can train", hint=hint)
    if find_spec(name) is None:  # finds a package without importing it
        package = "'dogvscat[train]'" if name == "tensorflow" else name
        raise UsageError(f"the Keras backend {name} is not installed", hint=f"Install it with: pip install {package}")
    if (loaded := sys.modules.get("keras")) and loaded.backend.backend() != name:
        message = f"Keras already runs with the backend {loaded.backend.backend()} in this process, not with {name}"
        raise UsageError(message, hint="Use a fresh process.")
    os.environ["KERAS_BACKEND"] = name  # Keras reads it when it is imported, also in processes that this one starts
    return name


def __getattr__(name: str) -> Any:
    """Hand out `keras`, unless the engine is still closed."""
    if name != "keras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _is_open:
        raise RuntimeError("Keras was imported before open_engine() prepared its backend: call open_engine() first")
    import keras

    return keras


def sees_gpu() -> bool:
    """Whether the network would be computed on a GPU in this process."""
    with quiet_stderr():
        match _backend():
            case "torch":
                import torch

                return bool(torch.cuda.is_available())
            case "jax":
                import jax

                return bool(jax.default_backend() == "gpu")
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))


@lru_cache(maxsize=1)
def faster_precision() -> str:
    """Time a convolution like the network's in float32 and bfloat16; a fifth to half a second on two CPU cores.

    Processors with bfloat16 in their matrix or vector units gain from it. Others have to imitate it: there it takes
    two to four times as long as float32, or cannot be computed at all.
    """
    with quiet_stderr():  # oneDNN complains where it has no bfloat16, which is the question here
        try:
            rounds = [(_convolution_seconds("float32"), _convolution_seconds("bfloat16")) for _ in range(1 + _ROUNDS)]
        except Exception:  # each backend has errors of its own; float32 works in all of them
            return "float32"
    # The first round also prepares kernels, so it is never the fastest.
    in_float32, in_bfloat16 = map(min, zip(*rounds, strict=True))
    return "bfloat16" if in_bfloat16 <= _WORTH_IT * in_float32 else "float32"


def without_gradients() -> AbstractContextManager[Any]:
    """A context in which calling a network keeps nothing for a gradient. Only PyTorch would, and fill the memory."""
    if _backend() != "torch":
        return nullcontext()
    import torch

    context: AbstractContextManager[Any] = torch.no_grad()
    return context


def forget_networks() -> None:
    """Free the memory of networks built earlier in this process; a long series of trainings would fill it."""
    import keras

    keras.utils.clear_session()


def _refuse_missing_bfloat16() -> None:
    """Raise a readable error at the start. Otherwise the backend would fail in the first training step."""
    try:
        with quiet_stderr():
            _convolution_seconds("bfloat16")
    except Exception as error:  # each backend raises its own classes
        hint = (
            "Resume this training on a machine like the one that it was started on, "
            "or start a new training with --set training.precision=float32."
        )
        raise UsageError("this machine cannot compute in bfloat16, which this training needs", hint=hint) from error


def _convolution_seconds(precision: str) -> float:
    from keras import ops

    images = ops.ones((16, 32, 32, 64), precision)
    kernel = ops.ones((3, 3, 64, 64), precision)
    start = time.perf_counter()
    convolved = ops.conv(images, kernel, padding="same")  # (16, 32, 32, 64)
    float(ops.cast(convolved[0, 0, 0, 0], "float32"))  # waits for the result where the backend only queues
    return time.perf_counter() - start


def _backend() -> str:
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def _prepare_jax(threads: int) -> None:
    """XLA reads its number of threads from the environment when it first computes, and has no call to ask for it."""
    global _jax_threads
    if _jax_threads not in (None, threads):
        message = f"JAX already runs with {_jax_threads} threads in this process, {threads} were asked for"
        raise UsageError(message, hint="Train in a fresh process.")
    os.environ["PJRT_NPROC"] = str(threads)
    _jax_threads = threads


def _prepare_tensorflow(threads: int) -> None:
    with quiet_stderr():  # TensorFlow and its first operation announce their build
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        tf.get_logger().setLevel("ERROR")  # it warns if a process builds many networks, as many trainings in a row do
    try:
        for gpu in gpus:  # by default one process takes all memory, and a study's other workers get none
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)  # one network, one stream: more only adds switching
    except RuntimeError:  # TensorFlow has computed before
        in_use = tf.config.threading.get_intra_op_parallelism_threads()
        if in_use != threads:
            message = f"TensorFlow already runs with {in_use} threads in this process, {threads} were asked for"
            raise UsageError(message, hint="Train in a fresh process.") from None
    tf.config.experimental.enable_op_determinism()
