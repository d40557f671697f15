#!/bin/sh
# Pillow 13.0.0 reads a compressed big-endian TIFF of 32-bit gray with its bytes in the wrong order. No error, no warning.
# Guess: a format's byte order is the decoder's business, so compression changes nothing about the values.
# Seen: uncompressed, all values are right. Deflate-compressed, 1.0 is read as 4.6e-41, and 1 as 16777216.
# Valid input: written by tifffile, and read back by it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

for dtype in ("float32", "int32"):
    values = np.ones((4, 4), dtype)
    for compression in (None, "zlib"):
        path = Path(sys.argv[1], "gray.tif")
        tifffile.imwrite(path, values, byteorder=">", compression=compression, photometric="minisblack")
        assert np.array_equal(tifffile.imread(path), values)
        with Image.open(path) as image:
            seen = np.asarray(image)
        expected = values if compression is None else values.byteswap()
        print(f"{dtype}, compression {compression}: mode {image.mode}, 1 is read as {seen[0, 0]!r}")
        assert np.array_equal(seen, expected), "Pillow's behavior has changed"
PYTHON
