"""Versions: of this package, on their own so that inner rooms need not import its face, and of what results depend on."""

from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"

RESULT_PACKAGES = (
    "dogvscat",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
    "jax",
    "numpy",
    "pillow",
    "onnxruntime",
)
"""Packages that decide what a training or a prediction comes to, in its last digits."""


def installed_versions() -> dict[str, str]:
    """Version by package, of the `RESULT_PACKAGES` that are installed here."""
    versions = {}
    for package in RESULT_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
