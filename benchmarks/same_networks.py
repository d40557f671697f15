"""Are the networks of the recipes the same as at another commit? Weights, first weights, and the losses of ten steps.

    git worktree add /tmp/before 16b9ac2
    python benchmarks/same_networks.py
    PYTHONPATH=/tmp/before/src python benchmarks/same_networks.py

Prints one table row per recipe and seed: number of weights, multiply-accumulates of one image, sha256 of the first
weights, and of the losses of ten training steps (float32, one thread, a fixed batch of noise), with the last of them.
Equal networks that learn alike give equal rows, on one machine. Commits as far back as 16b9ac2 can be compared.
"""

import hashlib
import importlib
import os
from typing import Any

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

STEPS, BATCH = 10, 32
SIZES = {"classic": 64, "fast": 64, "best": 96}
"""Of the images in the steps, in pixels."""


def main() -> None:
    """Print the table."""
    _open_one_thread()
    resolve_config = _module("settings.resolve", "settings").resolve_config
    print("| recipe | seed | weights | MACs | first weights | losses of ten steps | the last loss |")
    print("|---|---|---|---|---|---|---|")
    for recipe, image_size in SIZES.items():
        for seed in (0, 1):
            config = resolve_config(recipe, None, [f"training.seed={seed}", "training.precision=float32"])
            count, macs, digest = first_weights(config)
            losses = step_losses(config, image_size)
            loss_digest = hashlib.sha256(losses.tobytes()).hexdigest()[:16]
            cells = (recipe, seed, f"{count:,}", f"{macs:,}", digest, loss_digest, f"{float(losses[-1])!r}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def first_weights(config: Any) -> tuple[int, int, str]:
    """Number of weights, multiply-accumulates at the size of the recipe, and the digest of all first weights."""
    network = _module("learning.model.networks", "learning.networks").build_network(
        config.network, config.data.image_size, seed=config.training.seed
    )
    digest, macs = hashlib.sha256(), 0
    for weight in network.weights:
        values = np.asarray(weight.numpy())
        digest.update(f"{values.shape} {values.dtype}".encode() + values.tobytes())
    for layer in network.layers:
        if (kernel := getattr(layer, "kernel", None)) is not None:
            positions = np.prod(layer.output.shape[1:-1], dtype=int)
            macs += int(positions * np.prod(kernel.shape))
    return network.count_params(), macs, digest.hexdigest()[:16]


def step_losses(config: Any, image_size: int) -> np.ndarray:
    """Losses of the first steps, float64 (STEPS,); dropout included."""
    import keras

    keras.utils.set_random_seed(config.training.seed)  # for dropout
    training = config.training
    network = _module("learning.model.networks", "learning.networks").build_network(
        config.network, image_size, l2=1e-4, seed=training.seed
    )
    _module("learning.model.optimizers", "learning.optimizers").compile_network(network, training)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH, image_size, image_size, 3), dtype=np.uint8)
    y_true = rng.integers(0, 2, (BATCH, 1)).astype(np.float32)
    losses = [float(np.asarray(network.train_on_batch(pixels, y_true)[0])) for _ in range(STEPS)]
    return np.array(losses)


def _open_one_thread() -> None:
    try:
        from dogvscat.learning.engine import open_engine

        open_engine(1)
    except ImportError:  # at 16b9ac2
        importlib.import_module("dogvscat.learning.backend").prepare_backend(1)


def _module(name: str, earlier_name: str) -> Any:
    """A module of the package, by its present name or by that of 16b9ac2."""
    try:
        return importlib.import_module(f"dogvscat.{name}")
    except ImportError:
        return importlib.import_module(f"dogvscat.{earlier_name}")


if __name__ == "__main__":
    main()
