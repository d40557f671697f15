#!/usr/bin/env bash
# Writes the locked, hashed requirement files from pyproject.toml. Needs uv (in the dev extra).
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { # name, extra flags
  uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate --no-header --quiet --output-file "requirements/$1.txt" "${@:2}"
}
compile dev --extra dev
# dev has every extra: its versions are the only ones, so that what is tested is what is installed.
for extra in train explore cluster export serve heif sign; do
  compile "$extra" --extra "$extra" --constraint requirements/dev.txt
done
compile light --constraint requirements/dev.txt
