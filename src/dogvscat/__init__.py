"""Train a dog-or-cat classifier from scratch, evaluate it honestly, and use it anywhere."""

from typing import TYPE_CHECKING, Any

from dogvscat._version import __version__

if TYPE_CHECKING:
    from dogvscat.bundle.predict.prediction import Failure, Prediction
    from dogvscat.bundle.predict.predictor import Predictor

__all__ = ["Predictor", "Prediction", "Failure", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562), so that `import dogvscat` itself loads nothing heavy."""
    if name in __all__:
        from dogvscat.bundle.predict import prediction, predictor

        return getattr(predictor if name == "Predictor" else prediction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
