"""Add the fingerprints of the photos that a network learned from to a bundle that was published without them.

    python benchmarks/fingerprints.py src/dogvscat/models/best kagglecatsanddogs.zip runs/best-1/manifest.csv

Since `train` writes them itself, this was needed for one bundle: `best`. Its manifest was lost with its run folder, and
was made again by the code of that time: `make_manifest(open_photos(zip), card.config.data)` at commit 16b9ac2.
"""

import argparse
import hashlib
from pathlib import Path

from dogvscat import atomic
from dogvscat.bundle.card import CARD_FILE, parse_card
from dogvscat.bundle.fingerprints import FINGERPRINT_FILES, pack_fingerprints
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.scan import scan
from dogvscat.photos.sources import open_photos


def main() -> None:
    """Write the files and the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, help="the photos that it learned from, a folder or zip")
    parser.add_argument("manifest", type=Path, help="manifest.csv of its run")
    arguments = parser.parse_args()
    card, _ = parse_card(arguments.bundle)
    manifest = load_manifest(arguments.manifest)
    counts = {split: len(manifest.of_split(split)) for split in FINGERPRINT_FILES}
    expected = {"train": card.origin.num_train, "validation": card.origin.num_validation}
    if manifest.digest != card.origin.data_digest or counts != expected:
        parser.error(f"not the manifest of this bundle: it has {counts}, the card says {expected}")
    hash_of = {photo.sha256: photo.perceptual_hash for photo in scan(open_photos(arguments.photos))}
    digests = {}
    for split, name in FINGERPRINT_FILES.items():
        content = pack_fingerprints([hash_of[row.sha256] for row in manifest.of_split(split)])
        atomic.write_bytes(arguments.bundle / name, content)
        digests[name] = hashlib.sha256(content).hexdigest()
        print(f"{name}: {counts[split]:,} photos, {len(content):,} bytes")
    card = card.model_copy(update={"files": {**card.files, **digests}})
    atomic.write_text(arguments.bundle / CARD_FILE, card.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    main()
