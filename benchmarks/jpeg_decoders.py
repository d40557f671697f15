"""Would a faster JPEG decoder pay? simplejpeg and Pillow, on the same photos and at the same scale.

    pip install simplejpeg
    python benchmarks/jpeg_decoders.py PHOTOS [--count 400] [--image-size 176]

Each photo is decoded by both in turns, and by the decoder of this package as a whole, which also reads the headers,
converts colors and resizes. Times are CPU time of one thread, the best of three. Prints one table row.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.reading.sources import open_photos


def main() -> None:
    """Decode every photo in three ways and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--image-size", type=int, default=176)
    arguments = parser.parse_args()
    size = arguments.image_size
    photos = rgb_jpegs(arguments.photos, arguments.count)
    times: list[tuple[float, float, float]] = []
    num_equal = 0
    for data in photos:
        pillow, pillow_seconds = timed(partial(with_pillow, data, size))
        other, other_seconds = timed(partial(with_simplejpeg, data, pillow.shape))
        _, seconds = timed(partial(decode, data, "photo.jpg", size))
        num_equal += np.array_equal(pillow, other)
        times.append((pillow_seconds, other_seconds, seconds))
    pillow_ms, other_ms, whole_ms = (1000 * statistics.mean(column) for column in zip(*times, strict=True))
    ratio = statistics.median(other / pillow for pillow, other, _ in times)
    print("| photos | equal pixels | Pillow, ms | simplejpeg, ms | median ratio | whole decoder, ms |")
    print("|---|---|---|---|---|---|")
    print(f"| {len(photos)} | {num_equal} | {pillow_ms:.2f} | {other_ms:.2f} | {ratio:.2f} | {whole_ms:.2f} |")


def rgb_jpegs(folder: Path, count: int) -> list[bytes]:
    """Some color JPEGs of a folder or zip, drawn with seed 0."""
    source = open_photos(folder)
    paths = [photo.path for photo in source.photos if photo.path.endswith(".jpg")]
    random.Random(0).shuffle(paths)
    files = (source.read(path) for path in paths[:count])
    return [data for data in files if data and Image.open(BytesIO(data)).mode == "RGB"]


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """A result, and the best of three CPU times in seconds."""
    best = float("inf")
    for _ in range(3):
        started = time.thread_time()
        pixels = function()
        best = min(best, time.thread_time() - started)
    return pixels, best


def with_pillow(data: bytes, size: int) -> np.ndarray:
    """Decode at the smallest of the scales 1, 1/2, 1/4 and 1/8 that keeps both sides at least that long."""
    image = Image.open(BytesIO(data))
    image.draft("RGB", (size, size))
    return np.asarray(image)


def with_simplejpeg(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Decode at the scale that gives this height and width."""
    return simplejpeg.decode_jpeg(data, "RGB", min_height=shape[0], min_width=shape[1], min_factor=1)


if __name__ == "__main__":
    main()
