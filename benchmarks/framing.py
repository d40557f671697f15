"""Squash a photo to a square, crop it, or both? And does a network trained on small squares classify large photos?

    python benchmarks/framing.py SQUARES ORIGINALS --folds AUDIT/folds     # or: --model RUN

SQUARES is the archive or folder a network was trained on. ORIGINALS holds some of its photos (same class and file name)
at their original size and aspect. Each photo is evaluated in four framings: as the square of the archive, squashed,
cropped in the middle, and as the mean of the last two. With --folds, the folder that `audit --labels` writes, each
photo is evaluated by the network of the fold that held it out. With --model the network may have been trained on the
photo, which makes all four framings look better than they are.
"""

import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dogvscat.exploring.comparison.difference import paired_difference
from dogvscat.judging.intervals import as_percent, wilson
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.reading.sources import open_photos

PredictLogits = Callable[[np.ndarray], np.ndarray]
"""From pixels, uint8 (num_images, image_size, image_size, 3), to the logits of the positive class, (num_images,)."""


def main() -> None:
    """Evaluate every photo in every framing and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("squares", type=Path)
    parser.add_argument("originals", type=Path)
    evaluators = parser.add_mutually_exclusive_group(required=True)
    evaluators.add_argument("--folds", type=Path, help="the folder of folds that `audit --labels` writes")
    evaluators.add_argument("--model", type=Path, help="a run folder or a bundle")
    arguments = parser.parse_args()
    squares, originals = open_photos(arguments.squares), open_photos(arguments.originals)
    # The same photo has the same class and file name in both sources.
    square_paths = {(photo.label, Path(photo.path).name): photo.path for photo in squares.photos}
    pairs = [
        (photo, square_paths[key])
        for photo in originals.photos
        if (key := (photo.label, Path(photo.path).name)) in square_paths
    ]
    y_true = np.array([photo.label for photo, _ in pairs])
    networks = _load_networks(arguments, [square_path for _, square_path in pairs])
    logits: dict[str, np.ndarray] = {name: np.empty(len(pairs)) for name in ("square", "squash", "crop")}
    for members, size, predict_logits in networks:
        for name, column in logits.items():
            views = [_view(name, squares.read(pairs[i][1]), originals.read(pairs[i][0].path), size) for i in members]
            column[members] = predict_logits(np.stack(views))  # (num_members,)
    logits["squash and crop"] = (logits["squash"] + logits["crop"]) / 2
    print_table(y_true, logits)


def print_table(y_true: np.ndarray, logits: Mapping[str, np.ndarray]) -> None:
    """A Markdown table: one row per framing, compared with the squares."""
    # A logit of 0 is a probability of one half: the threshold of every network here.
    is_correct = {name: (column >= 0) == y_true for name, column in logits.items()}
    print("| framing | accuracy (95%) | n | log loss | against the square, points (95%) |\n|---|---|---|---|---|")
    for name, column in logits.items():
        figure = paired_difference(is_correct["square"][None], is_correct[name][None]).accuracy
        value, low, high = (100 * (number or 0.0) for number in (figure.value, figure.low, figure.high))
        accuracy = as_percent(wilson(int(is_correct[name].sum()), len(y_true)))
        # log(1 + exp(-margin)) is the cross-entropy of a logit, computed without overflow.
        loss = np.mean(np.logaddexp(0.0, np.where(y_true == 1, -column, column)))
        print(f"| {name} | {accuracy} | {len(y_true)} | {loss:.3f} | {value:+.1f} ({low:+.1f} to {high:+.1f}) |")


def _view(name: str, square: bytes, original: bytes, size: int) -> np.ndarray:
    if name == "square":
        return decode(square, "square", size)
    return decode(original if name == "squash" else _middle(original), name, size)


def _middle(photo: bytes) -> bytes:
    """The largest square in the middle of a photo, as a PNG, so that nothing more is lost."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    side, buffer = min(image.size), io.BytesIO()
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image.crop((left, top, left + side, top + side)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _load_networks(arguments: argparse.Namespace, paths: list[str]) -> list[tuple[np.ndarray, int, PredictLogits]]:
    """For each network: the indices of the photos it evaluates, its image size, and its logits."""
    if arguments.model:
        from dogvscat.bundle.predict.predictor import Predictor

        predictor = Predictor.load(arguments.model)
        return [(np.arange(len(paths)), predictor.card.image_size, lambda pixels: predictor.logits(pixels).positive)]
    folders = sorted(path for path in arguments.folds.iterdir() if (path / "out_of_fold.csv").exists())
    return [_load_fold(folder, paths) for folder in folders]


def _load_fold(folder: Path, paths: list[str]) -> tuple[np.ndarray, int, PredictLogits]:
    """The network of a fold, for the photos that were its validation photos."""
    from dogvscat.learning.data.dataset import Dataset
    from dogvscat.learning.engine import open_engine
    from dogvscat.learning.run import Run
    from dogvscat.photos.pixels import mapped_pixels

    run = Run(folder)
    config, manifest = run.load_config(), run.load_manifest()
    caches = {size: mapped_pixels(manifest, size) for size in config.image_sizes}
    pixels = {size: cache for size, cache in caches.items() if cache is not None}
    compute = open_engine(config.training.threads, run.load_environment()["precision"])

    from dogvscat.learning.loop.inference import final_network
    from dogvscat.learning.loop.training import set_up_training

    training = set_up_training(run, config, Dataset(manifest, pixels), compute, lambda sentence: None)
    training.fit()  # already completed: this only loads the weights that the recipe selects
    network = final_network(training.model, config, training.loader.images)
    held_out = {row.path for row in manifest.of_split("validation")}
    members = np.array([index for index, path in enumerate(paths) if path in held_out])
    return members, config.data.image_size, lambda pixels: np.asarray(network.predict_on_batch(pixels))[:, 0]


if __name__ == "__main__":
    main()
