"""Versions of this package and of the libraries that results depend on. Every package here may import this file."""

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
"""Packages whose versions decide the last digits of a training or a prediction."""


def installed_versions() -> dict[str, str]:
    """The versions of the installed packages among `RESULT_PACKAGES`, by package."""
    from importlib.metadata import PackageNotFoundError, version  # here: the import would slow every start down

    versions = {}
    for package in RESULT_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
