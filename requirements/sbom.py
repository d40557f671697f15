"""Write the software bill of materials of a wheel, next to it: what it is, and every package that it can bring along.

    python requirements/sbom.py dist/dogvscat-0.1.0-py3-none-any.whl

The packages are those of the locked files, with their hashes, and with their licenses where they are installed. The
form is CycloneDX 1.6 (cyclonedx.org/docs/1.6/json). Equal locks and wheels give equal bytes.
"""

import hashlib
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

LOCKS = ("light", "train", "explore", "cluster", "export", "serve", "heif", "sign")
"""The locked files of what users install; `dev` is for developers."""

_FOLDER = Path(__file__).parent
_PACKAGE = re.compile(r"([A-Za-z0-9_.-]+)==([^ ;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> None:
    """Write the file, with the suffix `.cdx.json`."""
    wheel = Path(sys.argv[1])
    name, version = wheel.name.split("-")[:2]
    file = wheel.with_name(f"{name}-{version}.cdx.json")
    document = bill_of_materials(wheel, name, version)
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{file}: {len(document['components'])} packages")


def bill_of_materials(wheel: Path, name: str, version: str) -> dict[str, Any]:
    """The document as JSON values."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "licenses": [{"license": {"id": "MIT"}}],
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
            }
        },
        "components": [_component(*package, extras) for package, extras in sorted(locked_packages().items())],
    }


def locked_packages() -> dict[tuple[str, str], dict[str, list[str]]]:
    """Name and version of each package; for each, the locked files that have it, with its hashes there."""
    packages: dict[tuple[str, str], dict[str, list[str]]] = {}
    for lock in LOCKS:
        text = (_FOLDER / f"{lock}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if match := _PACKAGE.match(line):
                packages.setdefault((match[1], match[2]), {})[lock] = _HASH.findall(line)
    return packages


def stated_license(package: str) -> str | None:
    """The license that an installed package states: an SPDX expression, or its classifiers; None if it states none."""
    try:
        metadata = distribution(package).metadata
    except PackageNotFoundError:
        return None
    classifiers = [
        text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", []) if text.startswith("License")
    ]
    stated = [text for text in classifiers if "approved" not in text]
    first_line = (metadata.get("License") or "").strip().partition("\n")[0]
    return metadata.get("License-Expression") or "; ".join(stated) or first_line or None


def _component(name: str, version: str, hashes_by_lock: dict[str, list[str]]) -> dict[str, Any]:
    stated = stated_license(name)
    hashes = sorted({value for values in hashes_by_lock.values() for value in values})
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        **({"licenses": [{"license": {"name": stated}}]} if stated else {}),
        # Of every file that the lock allows: a package has one per system and Python.
        "properties": [
            {"name": "dogvscat:extras", "value": ", ".join(hashes_by_lock)},
            *({"name": "dogvscat:sha256", "value": value} for value in hashes),
        ],
    }


if __name__ == "__main__":
    main()
