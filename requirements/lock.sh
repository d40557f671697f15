#!/usr/bin/env bash
# Writes the locked, hashed requirement files from pyproject.toml. Needs uv (in the dev extra).
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { # name, extra flags
  uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate --no-header --quiet --output-file "requirements/$1.txt" "${@:2}"
}
compile light
compile train --extra train
compile explore --extra explore
compile cluster --extra cluster
compile export --extra export
compile serve --extra serve
compile dev --extra dev
