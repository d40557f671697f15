#!/bin/sh
# The wheels of TensorFlow 2.22.0rc0 ask for keras-nightly, and do not agree with each other on h5py.
# Guess: a release candidate of TensorFlow works with the keras that is installed, and all wheels of one version require
# the same packages, so that a lock made from one of them holds for every Python.
# Seen: each wheel asks for keras-nightly. Those for Python 3.13 ask for h5py below 3.15, those for 3.14 ask for 3.15.1 or
# newer: no h5py suits both. (The same on macOS, Windows and Arm, read on 2026-11-29; the wheels for 3.11 ask for the
# same as those for 3.13.)
# And keras-nightly has the files of keras. pip installs both into one folder without a word; the one that comes last
# overwrites the other, and if one of them is uninstalled, `import keras` fails though pip still lists keras.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip --disable-pip-version-check"
for python in 3.13 3.14; do
    $pip install -q --dry-run --ignore-installed --no-deps --only-binary=:all: --python-version "$python" \
        --platform manylinux_2_27_x86_64 --target "$folder/none" --report "$folder/$python.json" tensorflow-cpu==2.22.0rc0
done
$pip install -q --no-deps keras==3.15.1
$pip install -q --no-deps keras-nightly==3.16.0.dev2026102704
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from importlib.metadata import files
from pathlib import Path

expected = {"3.13": "h5py<3.15.0,>=3.11.0", "3.14": "h5py~=3.15.1"}
for python, h5py in expected.items():
    (wheel,) = json.loads(Path(sys.argv[1], f"{python}.json").read_text())["install"]
    requirements = [text for text in wheel["metadata"]["requires_dist"] if text.startswith(("keras", "h5py"))]
    print(f"Python {python}: {requirements}")
    assert requirements == ["keras-nightly>=3.12.0.dev", h5py], "the requirements have changed"
shared = set(map(str, files("keras"))) & set(map(str, files("keras-nightly")))
sources = [file for file in shared if file.endswith(".py")]
print(f"source files that belong to both keras and keras-nightly: {len(sources)}")
assert "keras/__init__.py" in sources, "the packages have changed"
PYTHON
$pip uninstall -q -y keras-nightly
$pip show -q keras
test ! -e "$(echo "$folder"/venv/lib/python3*/site-packages)/keras/__init__.py" || { echo "the behavior has changed"; exit 1; }
echo "after 'pip uninstall keras-nightly', pip lists keras, and keras/__init__.py is gone"
