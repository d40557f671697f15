"""How accurate is a network on photos that are darker, gray, blurred, turned, smaller... than its training photos?

    python benchmarks/robustness.py PHOTOS --model RUN --pictures 1000

Evaluates the validation photos of a run, each changed in one way at a time by Pillow, which is not used in training.
Prints one row per change: accuracy with its interval, the paired difference from the unchanged photos, and how often
the answer is `unsure`.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from dogvscat import stderr
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.exploring.comparison.difference import paired_difference
from dogvscat.judging.decision import Logits
from dogvscat.judging.intervals import as_percent, wilson
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.reading.sources import open_photos

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    """Evaluate every changed copy and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a run folder")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    predictor = Predictor.load(arguments.model, arguments.threads)
    manifest, source = load_manifest(arguments.model / "manifest.csv"), open_photos(arguments.photos)
    rows = manifest.of_split("validation")
    # A random part, the same for every run of this script, so that figures of two networks can be compared.
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[: arguments.pictures]]
    photos = [Image.open(io.BytesIO(source.read(row.path))).convert("RGB") for row in rows]
    y_true = manifest.labels(rows)
    print("| change | accuracy (95%) | against none, points (95%) | `unsure` |\n|---|---|---|---|")
    unchanged_correct = np.zeros(0, dtype=bool)
    for name, change in CHANGES.items():
        is_correct, is_unsure = evaluate(predictor, photos, change, y_true)
        # The first change is none at all: the photos that all others are compared with.
        unchanged_correct = unchanged_correct if len(unchanged_correct) else is_correct
        difference = paired_difference(unchanged_correct[None], is_correct[None]).accuracy
        value, low, high = (100 * (number or 0.0) for number in (difference.value, difference.low, difference.high))
        accuracy = as_percent(wilson(int(is_correct.sum()), len(is_correct)))
        print(
            f"| {name} | {accuracy} | {value:+.1f} ({low:+.1f} to {high:+.1f}) | {is_unsure.mean():.1%} |", flush=True
        )
    print(f"\nn = {len(rows):,}")


def evaluate(
    predictor: Predictor, photos: list[Image.Image], change: Change, y_true: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each changed photo is classified correctly, and whether it is `unsure`: bool (num_photos,) each."""
    decision, starts = predictor.card.decision(), stderr.track(range(0, len(photos), BATCH_SIZE), "Evaluating")
    batches = (photos[start : start + BATCH_SIZE] for start in starts)
    parts = [predictor.logits(np.stack([_pixels(predictor, change(photo)) for photo in batch])) for batch in batches]
    positive = np.concatenate([logits.positive for logits in parts])  # (num_photos,)
    # The second output exists only in networks that were trained with photos that show neither.
    neither = [logits.neither for logits in parts if logits.neither is not None]
    logits = Logits(positive, np.concatenate(neither) if neither else None)
    y_prob = decision.probabilities(logits.positive)
    return decision.predict(y_prob) == y_true, decision.is_unsure(y_prob, logits.neither)


def _pixels(predictor: Predictor, photo: Image.Image) -> np.ndarray:
    """The photo as the predictor would read it from a user's file, uint8 (image_size, image_size, 3)."""
    buffer = io.BytesIO()
    photo.save(buffer, "PNG", compress_level=1)  # without loss: only the change counts
    return decode(buffer.getvalue(), "changed photo", predictor.card.image_size)


def _compressed(photo: Image.Image) -> Image.Image:
    """Saved as a JPEG of low quality and read again."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=20)
    return Image.open(buffer).convert("RGB")


def _reduced(photo: Image.Image) -> Image.Image:
    """Blurred as if it had been saved as an icon of 80 pixels."""
    return photo.resize((80, 80), Image.Resampling.BILINEAR).resize(photo.size, Image.Resampling.BICUBIC)


def _noisy(photo: Image.Image) -> Image.Image:
    # Standard deviation 18 of 255, independent for each pixel and color.
    noise = np.random.default_rng(1).normal(0, 18, (photo.height, photo.width, 3))
    return Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8))


def _warm(photo: Image.Image) -> Image.Image:
    """As in warm light: red 120%, green 100%, blue 75%."""
    bands = zip(photo.split(), (1.2, 1.0, 0.75), strict=True)
    scaled = [band.point([min(255, round(value * factor)) for value in range(256)]) for band, factor in bands]
    return Image.merge("RGB", scaled)


def _middle(photo: Image.Image) -> Image.Image:
    """The middle 70% of width and height."""
    width, height = photo.size
    return photo.crop((round(0.15 * width), round(0.15 * height), round(0.85 * width), round(0.85 * height)))


def _barred(photo: Image.Image) -> Image.Image:
    """Flattened to two thirds, with black bars above and below, as in a film."""
    bars = Image.new("RGB", photo.size)
    bars.paste(photo.resize((photo.width, photo.height * 2 // 3)), (0, photo.height // 6))
    return bars


def _far(photo: Image.Image) -> Image.Image:
    """Half as large, on a blurred background of its own colors."""
    far = photo.resize((2, 2)).resize(photo.size)  # a smooth gradient between four mean colors
    far.paste(photo.resize((photo.width // 2, photo.height // 2)), (photo.width // 4, photo.height // 4))
    return far


CHANGES: dict[str, Change] = {
    "none": lambda photo: photo,
    "gray": lambda photo: photo.convert("L").convert("RGB"),
    "JPEG quality 20": _compressed,
    "reduced to 80 px": _reduced,
    "brightness 45%": lambda photo: ImageEnhance.Brightness(photo).enhance(0.45),
    "brightness 160%": lambda photo: ImageEnhance.Brightness(photo).enhance(1.6),
    "contrast 50%": lambda photo: ImageEnhance.Contrast(photo).enhance(0.5),
    "color 180%": lambda photo: ImageEnhance.Color(photo).enhance(1.8),
    "warm light": _warm,
    "noise": _noisy,
    "middle 70%": _middle,
    "bars above and below": _barred,
    "turned by 15 degrees": lambda photo: photo.rotate(15, Image.Resampling.BICUBIC),
    "half as large": _far,
}

if __name__ == "__main__":
    main()
