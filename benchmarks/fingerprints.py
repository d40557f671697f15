"""Add the fingerprints of the photos that a network learned from to a bundle that was published without them.

    python benchmarks/fingerprints.py src/dogvscat/models/best kagglecatsanddogs.zip manifest.csv

`train` writes them itself, so this was needed for one bundle only: `best`. Its manifest was made again by the code of
commit 16b9ac2: `save_manifest(Path("manifest.csv"), make_manifest(open_photos(zip), card.config.data))`.
"""

import argparse
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dogvscat import atomic
from dogvscat.bundle.card import CARD_FILE, parse_card
from dogvscat.bundle.fingerprints import FINGERPRINT_FILES, compute_fingerprints, pack_fingerprints
from dogvscat.cpus import available_cpus
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.reading.sources import open_photos


def main() -> None:
    """Write the files and the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, help="the photos that it learned from, a folder or zip")
    parser.add_argument("manifest", type=Path, help="manifest.csv of its run")
    arguments = parser.parse_args()
    (card, _), manifest = parse_card(arguments.bundle), load_manifest(arguments.manifest)
    counts = {split: len(manifest.of_split(split)) for split in FINGERPRINT_FILES}
    expected = {"train": card.origin.num_train, "validation": card.origin.num_validation}
    if manifest.digest != card.origin.data_digest or counts != expected:
        parser.error(f"this is not the manifest of the bundle: it has {counts}, the card says {expected}")
    source, digests = open_photos(arguments.photos), {}
    with ThreadPoolExecutor(available_cpus()) as pool:
        for split, name in FINGERPRINT_FILES.items():
            paths = [row.path for row in manifest.of_split(split)]
            images = pool.map(lambda path: decode(source.read(path), path, card.image_size), paths)
            content = pack_fingerprints(compute_fingerprints(images))
            atomic.write_bytes(arguments.bundle / name, content)
            digests[name] = hashlib.sha256(content).hexdigest()
            print(f"{name}: {len(paths):,} photos, {len(content):,} bytes")
    card = card.model_copy(update={"files": {**card.files, **digests}})
    atomic.write_text(arguments.bundle / CARD_FILE, card.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    main()
