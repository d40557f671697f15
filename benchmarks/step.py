"""How fast is one training step, as a share of what this machine can compute?

    python benchmarks/step.py --recipe fast --sizes 64 96 128 [--set training.batch_size=64] [--threads 1]

Times the step of a recipe on a fixed batch, in turns with a float32 matrix product by the same library in the same
process. `KERAS_BACKEND=jax` or `torch` measures those instead of TensorFlow. Prints one table row per size. Run nothing
else on the machine meanwhile.
"""

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dogvscat.config import Config

FLOPS_PER_MAC = 6
"""Operations of training per multiply-accumulate of the forward pass. Backward costs twice as much as forward, and a
multiply-accumulate is two operations."""
_MATRIX = 2048
_TIMED_STEPS = 30


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    from dogvscat.learning.engine import open_engine
    from dogvscat.settings.resolve import resolve_config

    config = resolve_config(arguments.recipe, None, arguments.settings)
    compute = open_engine(arguments.threads, config.training.precision)
    import keras

    print("| recipe | backend | threads | batch | px | images/s | GFLOP/s | share of the float32 matrix product |")
    print("|---|---|---|---|---|---|---|---|")
    for size in arguments.sizes:
        rate = rates(config, size, compute.precision)
        macs = sum(operation.macs for operation in config.network.operations(size))
        gflops = rate["images_per_second"] * FLOPS_PER_MAC * macs / 1e9
        cells = [
            arguments.recipe,
            keras.backend.backend(),
            str(compute.threads),
            str(config.training.batch_size),
            str(size),
        ]
        cells += [f"{rate['images_per_second']:.0f}", f"{gflops:.0f}", f"{gflops / rate['matmul_gflops']:.0%}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def rates(config: "Config", image_size: int, precision: str) -> dict[str, float]:
    """Images per second of the training step on one fixed batch, and float32 GFLOP/s of a matrix product, in turns."""
    from dogvscat.learning.model.networks import build_network
    from dogvscat.learning.model.optimizers import compile_network

    settings = config.training.model_copy(update={"precision": precision})
    size = None if config.network.takes_any_size else image_size
    model = build_network(config.network, size, precision=settings.precision)
    compile_network(model, settings)
    rng, count = np.random.default_rng(0), settings.batch_size
    pixels = rng.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8)
    y_true = rng.integers(0, 2, (count, 1)).astype(np.float32)
    model.train_on_batch(pixels, y_true)  # not measured: compiles the step
    _matmul_gflops()  # not measured: starts the threads of the product
    # Step and product alternate, so that a machine whose speed drifts affects both.
    steps, products = [], []
    for _ in range(_TIMED_STEPS):
        started = time.perf_counter()
        model.train_on_batch(pixels, y_true)
        steps.append(time.perf_counter() - started)
        products.append(_matmul_gflops())
    return {"images_per_second": count / statistics.median(steps), "matmul_gflops": statistics.median(products)}


def _matmul_gflops() -> float:
    """GFLOP/s of one product of two square matrices: 2 n^3 operations."""
    import keras

    matrix = keras.ops.ones((_MATRIX, _MATRIX))
    started = time.perf_counter()
    keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))  # the copy waits for the result of lazy backends
    return 2 * _MATRIX**3 / (time.perf_counter() - started) / 1e9


if __name__ == "__main__":
    main()
