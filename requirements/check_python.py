"""Exits with one sentence if this Python is not one that pyproject.toml allows.

Old Pythons read this file too, so it has no f-strings, no pathlib and no tomllib.
"""

import io
import os
import re
import sys

pyproject = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pyproject.toml")  # noqa: PTH100, PTH118, PTH120
with io.open(pyproject, encoding="utf-8") as file:  # noqa: UP020
    oldest, too_new = map(int, re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', file.read())[0])
if not (3, oldest) <= sys.version_info[:2] < (3, too_new):
    sentence = "error: Python 3.{} to 3.{} is needed, and this is {}. Name another one: make PYTHON=python3.{} ..."
    sys.exit(sentence.format(oldest, too_new - 1, sys.version.split()[0], too_new - 1))
