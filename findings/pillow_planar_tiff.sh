#!/bin/sh
# Pillow 13.0.0 reads an uncompressed TIFF of 16-bit color with one plane per channel as if it had 8 bits. No error.
# Guess: the planes are read as the same pixels are when they are stored pixel by pixel, or compressed.
# Seen: stored pixel by pixel or compressed, red 200, green 100 and blue 50 are read as such. In uncompressed planes the
# two bytes of each sample become two pixels, and the lower half of each plane is never read.
# Also: gray of signed bytes (SampleFormat 2) is read as unsigned, so that black, -128, is read as 128.
# Valid input: written by tifffile, and read back by it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 imagecodecs==2026.3.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

path = Path(sys.argv[1], "picture.tif")


def read(values: np.ndarray, **options: object) -> np.ndarray:
    tifffile.imwrite(path, values, **options)
    assert np.array_equal(tifffile.imread(path), values)
    with Image.open(path) as image:
        return np.asarray(image)


levels = np.zeros((8, 8, 3), np.uint8)
levels[:4] = 200, 100, 50  # the lower half is black
samples = levels.astype(np.uint16) * 256  # 200 is 0xC800
planes = np.moveaxis(samples, -1, 0)
by_pixel = read(samples, photometric="rgb")
compressed = read(planes, photometric="rgb", planarconfig="separate", compression="zlib")
uncompressed = read(planes, photometric="rgb", planarconfig="separate")
for name, seen in (("by pixel", by_pixel), ("compressed", compressed), ("uncompressed", uncompressed)):
    print(f"{name}: first row {seen[0, :4].tolist()}, last row {seen[-1, :4].tolist()}")
assert np.array_equal(by_pixel, levels) and np.array_equal(compressed, levels)
assert not np.array_equal(uncompressed, levels), "Pillow's behavior has changed"

signed = read(np.full((4, 4), -128, np.int8), photometric="minisblack")
print(f"signed bytes: -128 is read as {signed[0, 0]}")
assert signed[0, 0] == 128, "Pillow's behavior has changed"
PYTHON
