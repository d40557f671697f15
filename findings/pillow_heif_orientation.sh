#!/bin/sh
# pillow-heif 1.8.1 turns a photo on saving only if the EXIF data is given as bytes, not as Pillow's Exif object.
# Guess: save(exif=exif) and save(exif=exif.tobytes()) write the same file, as Pillow's own JPEG writer does.
# Seen: with bytes the file gets a rotation (irot) and is upright when read; with the object it gets no rotation. HEIF
# readers ignore the EXIF orientation, as the format demands, so the file saved with the object stays on its side.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 pillow-heif==1.8.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6  # turn by a quarter
sizes = {}
for name, given in (("object", exif), ("bytes", exif.tobytes())):
    for suffix in ("heic", "jpg"):
        path = Path(sys.argv[1], f"{name}.{suffix}")
        Image.new("RGB", (64, 48), "red").save(path, exif=given)
        with Image.open(path) as image:
            image.load()
            sizes[name, suffix] = image.size
            print(f"exif as {name}, {suffix}: size {image.size}, irot in the file: {b'irot' in path.read_bytes()}")
assert sizes["object", "jpg"] == sizes["bytes", "jpg"] == (64, 48)
assert sizes["object", "heic"] == (64, 48) and sizes["bytes", "heic"] == (48, 64), "the behavior has changed"
PYTHON
