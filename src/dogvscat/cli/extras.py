"""A clear word where a command needs packages that the light installation leaves out."""

from importlib.util import find_spec

from dogvscat.errors import UsageError


def need_train_extra(*others: str) -> None:
    """Make sure that the extra `train` is installed, without importing any of it.

    Args:
        others: Packages of it that this command needs and most commands do not.

    Raises:
        UsageError: naming what is missing and how to install it.
    """
    for name in ("keras", "sklearn", "matplotlib", "imagehash", "jinja2", "onnx", *others):
        if find_spec(name) is None:
            hint = "Install it with: pip install 'dogvscat[train]'"
            raise UsageError(f"this command needs the extra `train`, and {name} is not installed", hint=hint)
