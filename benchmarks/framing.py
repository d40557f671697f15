"""Squash a photo to a square, crop it, or both? And does a network that learned from small squares know large photos?

    python benchmarks/framing.py SQUARES ORIGINALS --folds AUDIT/folds     # or: --model RUN

SQUARES is the archive or folder a network learned from, ORIGINALS holds some of its photos (same class and file name)
at their original size and aspect. Each photo is judged in four framings: as the square of the archive, squashed,
cropped in the middle, and as the mean of the last two. With --folds, the folder that `audit --labels` leaves behind,
each photo is judged by the network of the fold that held it out; with --model photos it learned from flatter all four.
"""

import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dogvscat.exploring.comparison.difference import paired_difference
from dogvscat.judging.intervals import as_percent, wilson
from dogvscat.photos.decoder import decode
from dogvscat.photos.sources import open_photos

Judge = Callable[[np.ndarray], np.ndarray]
"""From pixels, uint8 (num_images, image_size, image_size, 3), to the logits of the positive class."""


def main() -> None:
    """Judge every photo in every framing and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("squares", type=Path)
    parser.add_argument("originals", type=Path)
    judges = parser.add_mutually_exclusive_group(required=True)
    judges.add_argument("--folds", type=Path, help="the folder of folds that `audit --labels` leaves behind")
    judges.add_argument("--model", type=Path, help="a run folder or a bundle")
    arguments = parser.parse_args()
    squares, originals = open_photos(arguments.squares), open_photos(arguments.originals)
    twins = {(photo.label, Path(photo.path).name): photo.path for photo in squares.photos}
    pairs = [
        (photo, twins[key]) for photo in originals.photos if (key := (photo.label, Path(photo.path).name)) in twins
    ]
    y_true = np.array([photo.label for photo, _ in pairs])
    judged_by = _judges(arguments, [twin for _, twin in pairs])
    logits: dict[str, np.ndarray] = {name: np.empty(len(pairs)) for name in ("square", "squash", "crop")}
    for members, size, judge in judged_by:
        for name, column in logits.items():
            views = [_view(name, squares.read(pairs[i][1]), originals.read(pairs[i][0].path), size) for i in members]
            column[members] = judge(np.stack(views))
    logits["squash and crop"] = (logits["squash"] + logits["crop"]) / 2
    print_table(y_true, logits)


def print_table(y_true: np.ndarray, logits: Mapping[str, np.ndarray]) -> None:
    """A Markdown table: a row a framing, compared with the squares."""
    right = {name: (column >= 0) == y_true for name, column in logits.items()}
    print("| framing | accuracy (95%) | n | log loss | against the square, points (95%) |\n|---|---|---|---|---|")
    for name, column in logits.items():
        figure = paired_difference(right["square"][None], right[name][None]).accuracy
        value, low, high = (100 * (number or 0.0) for number in (figure.value, figure.low, figure.high))
        accuracy = as_percent(wilson(int(right[name].sum()), len(y_true)))
        loss = np.mean(np.logaddexp(0.0, np.where(y_true == 1, -column, column)))
        print(f"| {name} | {accuracy} | {len(y_true)} | {loss:.3f} | {value:+.1f} ({low:+.1f} to {high:+.1f}) |")


def _view(name: str, square: bytes, original: bytes, size: int) -> np.ndarray:
    if name == "square":
        return decode(square, "square", size)
    return decode(original if name == "squash" else _middle(original), name, size)


def _middle(photo: bytes) -> bytes:
    """The largest square in the middle of a photo, without another loss."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    side, buffer = min(image.size), io.BytesIO()
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image.crop((left, top, left + side, top + side)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _judges(arguments: argparse.Namespace, paths: list[str]) -> list[tuple[np.ndarray, int, Judge]]:
    """Who judges which of the photos: their indices, the size of the pictures, the network."""
    if arguments.model:
        from dogvscat.bundle.predict.predictor import Predictor

        predictor = Predictor.load(arguments.model)
        return [(np.arange(len(paths)), predictor.card.image_size, lambda pixels: predictor.logits(pixels).positive)]
    folders = sorted(path for path in arguments.folds.iterdir() if (path / "out_of_fold.csv").exists())
    return [_judge_of_fold(folder, paths) for folder in folders]


def _judge_of_fold(folder: Path, paths: list[str]) -> tuple[np.ndarray, int, Judge]:
    from dogvscat.learning.data.dataset import Dataset
    from dogvscat.learning.engine import open_engine
    from dogvscat.learning.run.folder import Run
    from dogvscat.photos.pixels import mapped_pixels

    run = Run(folder)
    config, manifest = run.load_config(), run.load_manifest()
    caches = {size: mapped_pixels(manifest, size) for size in config.image_sizes}
    pixels = {size: cache for size, cache in caches.items() if cache is not None}
    compute = open_engine(config.training.threads, run.load_environment()["precision"])

    from dogvscat.learning.loop.inference import final_network
    from dogvscat.learning.loop.setup import set_up_training

    training = set_up_training(run, config, Dataset(manifest, pixels), compute, lambda sentence: None)
    training.fit()  # finished: only its weights are chosen
    network = final_network(training.model, config, training.loader.images)
    held_out = {row.path for row in manifest.of_split("validation")}
    members = np.array([index for index, path in enumerate(paths) if path in held_out])
    return members, config.data.image_size, lambda pictures: np.asarray(network.predict_on_batch(pictures))[:, 0]


if __name__ == "__main__":
    main()
