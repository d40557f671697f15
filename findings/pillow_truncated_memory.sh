#!/bin/sh
# Pillow 13.0.0 with LOAD_TRUNCATED_IMAGES gives a black picture for a valid photo when memory runs out. No error.
# Guess: the setting concerns files that end too early, and memory that runs out is a MemoryError.
# Seen: a progressive JPEG whose pixels fit into the memory, but not the coefficients that libjpeg keeps as well, is read
# as black. Without the setting it is "broken data stream when reading image file", an OSError, as for a damaged file.
# JPEG 2000 is read as black as well. WebP and compressed TIFF are refused with an OSError, "could not create decoder
# object" and "decoder error -9". Only where the pixels themselves do not fit, all but WebP raise MemoryError.
# Valid input: 4000 x 4000 pixels of one gray, saved by Pillow, and read correctly with more memory. Linux only.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0
cat > "$folder/read.py" <<'PYTHON'
import io
import resource
import sys
from pathlib import Path

from PIL import Image, ImageFile

path, allowance, tolerant = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
small = io.BytesIO()
with Image.open(path) as image:  # loads the format's libraries before the limit is set, without decoding
    Image.new("RGB", (8, 8)).save(small, image.format)
Image.open(small).load()
ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + allowance * 2**20, resource.RLIM_INFINITY))
try:
    with Image.open(path) as image:
        print(image.getpixel((2000, 2000)))
except (OSError, MemoryError) as error:
    print(f"{type(error).__name__}: {error}")
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

from PIL import Image

folder = Path(sys.argv[1])
gray, black = "(200, 200, 200)", "(0, 0, 0)"
photo = Image.new("RGB", (4000, 4000), (200, 200, 200))
options = {
    "jpg": {},
    "progressive.jpg": {"progressive": True, "subsampling": 0},
    "jp2": {},
    "webp": {"lossless": True},
    "tif": {"compression": "tiff_deflate", "strip_size": 4000 * 4000 * 3},
}


def read(name: str, allowance: int, tolerant: bool) -> str:
    """What a fresh process with so many MiB to spare reads in the middle of the photo, or its error."""
    command = [sys.executable, folder / "read.py", folder / f"photo.{name}", str(allowance), str(tolerant)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


for name, settings in options.items():
    photo.save(folder / f"photo.{name}", **settings)
expectations = {name: {20: "MemoryError:"} for name in options}
expectations["jpg"][85] = gray  # the pixels need 62 MiB
expectations["progressive.jpg"][85] = "OSError: broken data stream when reading image file"
expectations["jp2"][85] = "OSError: out of memory when reading image file"
expectations["webp"][85] = expectations["webp"][20] = "OSError: could not create decoder object"
expectations["tif"][85] = "OSError: decoder error -9"
for name, expected in expectations.items():
    for allowance, outcome in {1000: gray, **expected}.items():
        strict, tolerant = read(name, allowance, tolerant=False), read(name, allowance, tolerant=True)
        print(f"{name}, {allowance} MiB: {strict}; with LOAD_TRUNCATED_IMAGES: {tolerant}")
        turned_black = name in ("progressive.jpg", "jp2") and allowance == 85
        assert (strict, tolerant) == (outcome, black if turned_black else outcome), "the behavior has changed"
PYTHON
