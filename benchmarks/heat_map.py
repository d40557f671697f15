"""Do heat-maps show what the answer comes from? Two checks on real photos, with intervals, and the time a photo takes.

    python benchmarks/heat_map.py PHOTOS [--model RUN] [--count 200]

PHOTOS is a folder or archive with a folder a class. First, the hottest part of each photo is hidden, and in other
copies a part of the same shape at a random place (the map moved around the borders): by how much does the probability
of the answer fall? Then every kernel of the graph is replaced by random numbers of the same spread (Adebayo et al.,
Sanity checks for saliency maps, 2018): the heat-maps must become others.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from dogvscat.bundle.predict.heat_map import heat_maps
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.judging.intervals import as_percent, wilson
from dogvscat.photos.decoder import decode
from dogvscat.photos.sources import open_photos

HIDDEN_SHARE = 0.1
"""Of the picture's area."""
MOVES = 20
"""Random places a photo."""


def main() -> None:
    """Check, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, help="a run folder or a bundle; the shipped one if not given")
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    predictor = Predictor.load(arguments.model)
    pixels = load_pixels(arguments.photos, arguments.count, predictor.card.image_size)
    started = time.perf_counter()
    heat = np.concatenate([heat_maps(predictor, picture[None]) for picture in pixels])
    seconds = (time.perf_counter() - started) / len(pixels)
    print_hiding(*falls(predictor, pixels, heat))
    print_randomised(heat, heat_maps(randomised(predictor), pixels))
    print(f"time: {1000 * seconds:.0f} ms a heat-map, one at a time, without decoding and drawing")


def load_pixels(photos: Path, count: int, image_size: int) -> np.ndarray:
    """Photos evenly spread over all there are, uint8 (count, image_size, image_size, 3)."""
    source = open_photos(photos)
    chosen = [source.photos[i] for i in np.unique(np.linspace(0, len(source.photos) - 1, count).astype(int))]
    return np.stack([decode(source.read(photo.path), photo.path, image_size) for photo in chosen])


def falls(predictor: Predictor, pixels: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much the probability of the answer falls, hiding the hottest part, (n,), and random ones, (n, MOVES)."""
    rng = np.random.default_rng(0)
    hottest, elsewhere = np.empty(len(pixels)), np.empty((len(pixels), MOVES))
    for number, (picture, one) in enumerate(zip(pixels, heat, strict=True)):
        mask = one >= np.quantile(one, 1 - HIDDEN_SHARE)
        size = len(picture)
        moved = [np.roll(mask, rng.integers(size // 4, 3 * size // 4, 2), axis=(0, 1)) for _ in range(MOVES)]
        pictures = np.stack([picture, *(_hidden(picture, part) for part in (mask, *moved))])
        y_prob = predictor.probabilities(pictures)  # (2 + MOVES,)
        y_prob = y_prob if predictor.card.decision().predict(y_prob[:1])[0] else 1.0 - y_prob
        hottest[number], elsewhere[number] = y_prob[0] - y_prob[1], y_prob[0] - y_prob[2:]
    return hottest, elsewhere


def _hidden(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with its mean colour where the mask says so."""
    hidden = picture.copy()
    hidden[mask] = picture.reshape(-1, 3).mean(axis=0).round()
    return hidden


def print_hiding(hottest: np.ndarray, elsewhere: np.ndarray) -> None:
    """Means with 95% bootstrap intervals over photos, and in how many photos the hottest part matters more."""
    random_place = elsewhere.mean(axis=1)
    n = len(hottest)
    print(f"hiding {HIDDEN_SHARE:.0%} of the picture lowers the probability of the answer, n = {n}, in points:")
    for name, values in (
        ("the hottest part", hottest),
        ("a random part of that shape", random_place),
        ("difference", hottest - random_place),
    ):
        low, high = _bootstrap(values)
        print(f"  {name}: {100 * values.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})")
    wins = int((hottest > random_place).sum())
    print(f"  the hottest part matters more in {as_percent(wilson(wins, n))} of the photos")


def _bootstrap(values: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    means = rng.choice(values, (5000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def randomised(predictor: Predictor) -> Predictor:
    """The same network with its kernels replaced by random numbers of their mean and spread."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(predictor.bundle.model)
    rng = np.random.default_rng(0)
    for constant in graph.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.ndim in (2, 4) and values.size > 100:
            fresh = rng.normal(values.mean(), values.std(), values.shape).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(fresh, constant.name))
    return Predictor(replace(predictor.bundle, model=graph.SerializeToString()))


def print_randomised(heat: np.ndarray, other: np.ndarray) -> None:
    """How alike the maps of the learned and of the random network are."""
    from scipy.stats import spearmanr

    alike = [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(heat, other, strict=True) if a.any() and b.any()]
    low, high = _bootstrap(np.array(alike))
    mean = float(np.mean(alike))
    print(
        f"random weights: rank correlation with the learned maps {mean:.2f} ({low:.2f} to {high:.2f}), n = {len(alike)}"
    )


if __name__ == "__main__":
    main()
