"""A clear error when a command needs packages that the light installation does not have."""

from importlib.util import find_spec

from dogvscat.errors import UsageError

# One import name per package whose absence shows that the extra is not installed.
_TRAIN = ("keras", "sklearn", "matplotlib", "onnx")


def need_train_extra(*more_packages: str) -> None:
    """Make sure that the extra `train` is installed, without importing its packages.

    Args:
        more_packages: Packages of the extra that only this command needs.

    Raises:
        UsageError: naming the missing package and how to install it.
    """
    _need("train", (*_TRAIN, *more_packages))


def need_explore_extra() -> None:
    """As `need_train_extra`, for the extra `explore`."""
    _need("explore", (*_TRAIN, "optuna"))


def need_export_extra(*packages: str) -> None:
    """As `need_train_extra`, for those packages of the extra `export` that one format needs."""
    _need("export", packages)


def need_serve_extra() -> None:
    """As `need_train_extra`, for the extra `serve`."""
    _need("serve", ("fastapi", "uvicorn", "prometheus_client", "python_multipart"))


def need_parquet_extra() -> None:
    """As `need_train_extra`, for the extra `parquet`."""
    _need("parquet", ("pyarrow",))


def need_cluster_extra() -> None:
    """As `need_train_extra`, for the packages that the extra `cluster` adds to `explore`."""
    _need("cluster", ("ray", "pyarrow", "fsspec"))


def _need(extra: str, packages: tuple[str, ...]) -> None:
    for name in packages:
        if find_spec(name) is None:  # finds a package without importing it
            hint = f"Install it with: pip install 'dogvscat[{extra}]'"
            raise UsageError(f"this command needs the extra `{extra}`, and {name} is not installed", hint=hint)
