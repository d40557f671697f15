"""Do heat maps show what the prediction depends on? Two checks on real photos, with intervals, and the time per photo.

    python benchmarks/heat_map.py PHOTOS [--model RUN] [--count 200]

PHOTOS is a folder or archive with one folder per class. First, the hottest part of each photo is hidden, and in other
copies a part of the same shape at a random position (the map shifted cyclically): by how much does the probability of
the predicted class fall? Then every kernel of the graph is replaced by random numbers of the same mean and standard
deviation (Adebayo et al., Sanity checks for saliency maps, 2018): the heat maps must change.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from dogvscat.bundle.predict.heat_map import heat_maps
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.judging.intervals import as_percent, wilson
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.reading.sources import open_photos

HIDDEN_SHARE = 0.1
"""Share of the image's area that is hidden."""
MOVES = 20
"""Random positions per photo."""


def main() -> None:
    """Run both checks and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, help="a run folder or a bundle; the bundled model if not given")
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    predictor = Predictor.load(arguments.model)
    pixels = load_pixels(arguments.photos, arguments.count, predictor.card.image_size)
    started = time.perf_counter()
    heat = np.concatenate([heat_maps(predictor, image[None]) for image in pixels])
    seconds = (time.perf_counter() - started) / len(pixels)
    print_hiding(*probability_drops(predictor, pixels, heat))
    print_randomized(heat, heat_maps(randomize(predictor), pixels))
    print(f"time: {1000 * seconds:.0f} ms per heat map, one at a time, without decoding and drawing")


def load_pixels(photos: Path, count: int, image_size: int) -> np.ndarray:
    """Evenly spaced photos of the source, uint8 (count, image_size, image_size, 3)."""
    source = open_photos(photos)
    photos_used = [source.photos[i] for i in np.unique(np.linspace(0, len(source.photos) - 1, count).astype(int))]
    return np.stack([decode(source.read(photo.path), photo.path, image_size) for photo in photos_used])


def probability_drops(predictor: Predictor, pixels: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much the probability of the predicted class falls when a part of the image is hidden: the hottest part,
    (n,), and random parts, (n, MOVES)."""
    rng = np.random.default_rng(0)
    hottest, random_drops = np.empty(len(pixels)), np.empty((len(pixels), MOVES))
    for number, (image, heat_map) in enumerate(zip(pixels, heat, strict=True)):
        mask = heat_map >= np.quantile(heat_map, 1 - HIDDEN_SHARE)  # (height, width)
        size = len(image)
        # Cyclic shifts of a quarter to three quarters: the same shape and area, away from where it was.
        moved = [np.roll(mask, rng.integers(size // 4, 3 * size // 4, 2), axis=(0, 1)) for _ in range(MOVES)]
        images = np.stack([image, *(_hide(image, part) for part in (mask, *moved))])
        y_prob = predictor.probabilities(images)  # (2 + MOVES,)
        # Turn it into the probability of the class that was predicted for the whole photo.
        y_prob = y_prob if predictor.card.decision().predict(y_prob[:1])[0] else 1.0 - y_prob
        hottest[number], random_drops[number] = y_prob[0] - y_prob[1], y_prob[0] - y_prob[2:]
    return hottest, random_drops


def _hide(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with its mean color where the mask is true."""
    hidden = image.copy()
    hidden[mask] = image.reshape(-1, 3).mean(axis=0).round()
    return hidden


def print_hiding(hottest: np.ndarray, random_drops: np.ndarray) -> None:
    """Means with 95% bootstrap intervals over photos, and in how many photos the hottest part matters more."""
    random_part = random_drops.mean(axis=1)  # (n,)
    n = len(hottest)
    print(f"hiding {HIDDEN_SHARE:.0%} of the image lowers the probability of the predicted class, n = {n}, in points:")
    for name, values in (
        ("the hottest part", hottest),
        ("a random part of that shape", random_part),
        ("difference", hottest - random_part),
    ):
        low, high = _bootstrap(values)
        print(f"  {name}: {100 * values.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})")
    wins = int((hottest > random_part).sum())
    print(f"  the hottest part matters more in {as_percent(wilson(wins, n))} of the photos")


def _bootstrap(values: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean, from 5,000 resamples of the photos."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (5000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def randomize(predictor: Predictor) -> Predictor:
    """The same network with its kernels replaced by random numbers of the same mean and standard deviation."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(predictor.bundle.model)
    rng = np.random.default_rng(0)
    for constant in graph.graph.initializer:
        values = numpy_helper.to_array(constant)
        # Kernels of dense layers and convolutions; biases and the small constants of the preprocessing stay.
        if values.dtype == np.float32 and values.ndim in (2, 4) and values.size > 100:
            fresh = rng.normal(values.mean(), values.std(), values.shape).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(fresh, constant.name))
    return Predictor(replace(predictor.bundle, model=graph.SerializeToString()))


def print_randomized(heat: np.ndarray, random_heat: np.ndarray) -> None:
    """How similar the maps of the trained and of the random network are."""
    from scipy.stats import spearmanr

    # A map without any heat has no ranks, so it has no correlation either.
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(heat, random_heat, strict=True) if a.any() and b.any()]
    correlations = np.array([spearmanr(a, b)[0] for a, b in pairs])
    low, high = _bootstrap(correlations)
    print(
        f"random weights: rank correlation with the trained maps {correlations.mean():.2f} "
        f"({low:.2f} to {high:.2f}), n = {len(correlations)}"
    )


if __name__ == "__main__":
    main()
