"""Train a dog-or-cat classifier from scratch, evaluate it honestly, and use it anywhere."""

from typing import TYPE_CHECKING, Any

from dogvscat._version import __version__

if TYPE_CHECKING:
    from dogvscat.api.functions import audit, evaluate, load_network, resume, train
    from dogvscat.bundle.predict.prediction import Failure, Prediction
    from dogvscat.bundle.predict.predictor import Predictor

__all__ = [
    "Predictor",
    "Prediction",
    "Failure",
    "train",
    "resume",
    "evaluate",
    "audit",
    "load_network",
    "__version__",
]

_MODULES = {
    "Predictor": "dogvscat.bundle.predict.predictor",
    "Prediction": "dogvscat.bundle.predict.prediction",
    "Failure": "dogvscat.bundle.predict.prediction",
}
"""Where the classes are; the functions are in `api/functions.py`."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562), so that `import dogvscat` itself loads nothing heavy."""
    if name in __all__:
        from importlib import import_module

        module = import_module(_MODULES.get(name, "dogvscat.api.functions"))
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
