"""Add the fingerprints of the photos that a network learned from to a bundle that was published without them.

    python benchmarks/fingerprints.py src/dogvscat/models/best kagglecatsanddogs.zip manifest.csv

`train` writes them itself, so this was needed for one bundle only: `best`. Its manifest was made again by the code of
commit 16b9ac2: `save_manifest(Path("manifest.csv"), make_manifest(open_photos(zip), card.config.data))`.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dogvscat import atomic
from dogvscat.bundle.checksums import CHECKSUMS_FILE, compute_checksums
from dogvscat.bundle.fingerprints import FINGERPRINT_FILES, compute_fingerprints, pack_fingerprints
from dogvscat.bundle.folder import load_bundle
from dogvscat.cpus import available_cpus
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.reading.sources import open_photos


def main() -> None:
    """Write the files and the list of all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, help="the photos that it learned from, a folder or zip")
    parser.add_argument("manifest", type=Path, help="manifest.csv of its run")
    arguments = parser.parse_args()
    bundle, manifest = load_bundle(arguments.bundle), load_manifest(arguments.manifest)
    card = bundle.card
    counts = {split: len(manifest.of_split(split)) for split in FINGERPRINT_FILES}
    expected = {"train": card.origin.num_train, "validation": card.origin.num_validation}
    if manifest.digest != card.origin.data_digest or counts != expected:
        parser.error(f"this is not the manifest of the bundle: it has {counts}, the card says {expected}")
    source = open_photos(arguments.photos)
    files = {name: bundle.read(name) for name in bundle.checksums.by_name}
    with ThreadPoolExecutor(available_cpus()) as pool:
        for split, name in FINGERPRINT_FILES.items():
            paths = [row.path for row in manifest.of_split(split)]
            images = pool.map(lambda path: decode(source.read(path), path, card.image_size), paths)
            content = pack_fingerprints(compute_fingerprints(images))
            atomic.write_bytes(arguments.bundle / name, content)
            files[name] = content
            print(f"{name}: {len(paths):,} photos, {len(content):,} bytes")
    atomic.write_bytes(arguments.bundle / CHECKSUMS_FILE, compute_checksums(files).serialize())


if __name__ == "__main__":
    main()
