"""Give a bundle that was published without one a quick first network, without training.

    python benchmarks/first_network.py src/dogvscat/models/best kagglecatsanddogs.zip manifest.csv

`train` makes it itself, so this was needed for one bundle only: `best`, whose card had format 4. Its manifest was made
again by the code of commit 16b9ac2: `save_manifest(Path("manifest.csv"), make_manifest(open_photos(zip),
card.config.data))`. `model.onnx` and `weights.npz` keep their bytes.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.bundle.checksums import CHECKSUMS_FILE, compute_checksums
from dogvscat.bundle.fingerprints import FINGERPRINT_FILES
from dogvscat.bundle.folder import CARD_FILE, MODEL_FILE, WEIGHTS_FILE, Bundle, load_bundle, load_checksums
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import publish_bundle
from dogvscat.bundle.weights import load_weights
from dogvscat.cpus import available_cpus
from dogvscat.judging.decision import Decision, Logits
from dogvscat.learning.finalize.first_network import (
    NUM_CALIBRATION_IMAGES,
    concatenate,
    fit_first_network,
    write_first_graph,
)
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.manifest import ManifestRow, load_manifest
from dogvscat.photos.reading.sources import PhotoSource, open_photos

BATCH = 8


def main() -> None:
    """Write the bundle again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, help="the photos that it learned from, a folder or zip")
    parser.add_argument("manifest", type=Path, help="manifest.csv of its run")
    arguments = parser.parse_args()
    _to_format_5(arguments.bundle)
    bundle, manifest = load_bundle(arguments.bundle), load_manifest(arguments.manifest)
    card = bundle.card
    if manifest.digest != card.origin.data_digest:
        parser.error("this is not the manifest of the bundle")
    source, rows = open_photos(arguments.photos), manifest.of_split("validation")
    train = manifest.of_split("train")
    chosen = np.linspace(0, len(train) - 1, NUM_CALIBRATION_IMAGES).astype(int)
    calibration = np.concatenate([*_batches(source, [train[index] for index in chosen], card.image_size)])
    weights, calibrating = load_weights(bundle), Decision(temperature=card.temperature, bias=card.bias)
    graph = write_first_graph(card.config.network, weights, calibrating, calibration)
    full = _full_logits(bundle, _batches(source, rows, card.image_size))
    batches = _batches(source, rows, card.image_size)
    first = fit_first_network(graph, card.decision(), batches, manifest.labels(rows), full)
    if first is None:
        parser.error("a first network would save too little time, or change too many labels")
    print(f"{len(graph):,} bytes, {first.description}")
    before = {name: bundle.read(name) for name in (MODEL_FILE, WEIGHTS_FILE)}
    publish_bundle(
        arguments.bundle,
        bundle.model,
        weights,
        card.class_names,
        card.config,
        Decision(card.temperature, card.bias, card.unsure_low, card.unsure_high, card.neither_limit),
        card.origin,
        card.metrics,
        card.known_failures,
        {name: bundle.read(name) for name in FINGERPRINT_FILES.values()},
        first,
    )
    for name, content in before.items():
        if (arguments.bundle / name).read_bytes() != content:
            parser.error(f"{name} has changed")


def _to_format_5(folder: Path) -> None:
    """Give a card of format 4 the fields of format 5, without a first network."""
    file = folder / CARD_FILE
    document = json.loads(file.read_bytes())
    if document["format_version"] != 4:
        return
    document |= {"format_version": 5, "first_network": None}
    document["golden"] = [{**picture, "first": None} for picture in document["golden"]]
    files = {name: (folder / name).read_bytes() for name in load_checksums(folder).by_name}
    files[CARD_FILE] = (json.dumps(document, indent=2) + "\n").encode()
    atomic.write_bytes(file, files[CARD_FILE])
    atomic.write_bytes(folder / CHECKSUMS_FILE, compute_checksums(files).serialize())


def _batches(source: PhotoSource, rows: Sequence[ManifestRow], image_size: int) -> Iterator[np.ndarray]:
    """The photos of some rows, uint8 (n, image_size, image_size, 3) each."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        for start in range(0, len(rows), BATCH):
            paths = [row.path for row in rows[start : start + BATCH]]
            yield np.stack([*pool.map(lambda path: decode(source.read(path), path, image_size), paths)])


def _full_logits(bundle: Bundle, batches: Iterator[np.ndarray]) -> Logits:
    predictor = Predictor(bundle, exact=True)
    return concatenate(predictor.logits(pixels) for pixels in batches)


if __name__ == "__main__":
    main()
