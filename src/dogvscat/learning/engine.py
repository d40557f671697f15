"""Knows the Keras backends: thread counts and determinism are set in each one's own way, before Keras is imported.

Nothing else in this room may import TensorFlow, JAX or torch.
"""

import os

from dogvscat.errors import UsageError
from dogvscat.stderr import quiet_stderr


def prepare_backend(threads: int) -> int:
    """Choose threads and deterministic arithmetic; call it before anything else imports TensorFlow.

    Determinism switches XLA off in TensorFlow; in return equal seeds give equal bits. oneDNN's convolutions are asked
    for by name: by itself TensorFlow takes them only where the processor has instructions made for networks
    (AVX512-VNNI, bfloat16), and on others they save a quarter to two fifths of the time (docs/experiments.md).
    Source: tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism

    Args:
        threads: CPU threads of the network, 0 for all.

    Returns:
        The number of threads in use.

    Raises:
        UsageError: if this process already computes with another number of threads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets with ten lines otherwise
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX's way to leave GPU memory to other processes
    threads = threads or os.cpu_count() or 1
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        _prepare_tensorflow(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
    return threads


def sees_gpu() -> bool:
    """Whether the network would be computed on a GPU in this process."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    with quiet_stderr():
        if backend == "torch":
            import torch

            return bool(torch.cuda.is_available())
        if backend == "jax":
            import jax

            return bool(jax.default_backend() == "gpu")
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))


def _prepare_tensorflow(threads: int) -> None:
    with quiet_stderr():  # TensorFlow and its first operation announce their build
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        tf.get_logger().setLevel("ERROR")  # trainings in a row are no reason to warn of building each anew
    try:
        for gpu in gpus:  # by itself a process takes all memory, and a study's workers on the machine get none
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)  # one network, one stream: more only adds switching
    except RuntimeError:  # already computing
        in_use = tf.config.threading.get_intra_op_parallelism_threads()
        if in_use != threads:
            message = f"TensorFlow already runs with {in_use} threads in this process, {threads} were asked for"
            raise UsageError(message, hint="Train in a fresh process.") from None
    tf.config.experimental.enable_op_determinism()
