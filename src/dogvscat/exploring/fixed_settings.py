"""Settings that are the same for every training of a study or a search, so that the trainings can be compared."""

from collections.abc import Iterable

from dogvscat.errors import ConfigError

_PICTURES = "every training is judged on the same pictures"
_NEITHER = "studies and searches learn without photos of neither class"
_FIXED = {
    "data.split_seed": _PICTURES,
    "data.validation_share": _PICTURES,
    "data.test_share": _PICTURES,
    "data.train_count": _PICTURES,
    "data.neither_test_share": _NEITHER,
    "training.neither_share": _NEITHER,
    "network.neither_output": _NEITHER,
    "training.seed": "seeds tell how much of an effect is luck, and are not tried for the best one",
    "training.threads": "it changes last digits alone, and every training gets as many",
}
"""Why each may not be tried."""


def refuse_fixed(keys: Iterable[str], where: str) -> None:
    """Make sure that none of the settings to be tried must be the same for all.

    Args:
        keys: Such as `network.dropout`.
        where: The table they are in, for the message.

    Raises:
        ConfigError: naming the first that may not be tried.
    """
    for key in keys:
        if key in _FIXED:
            hint = "Leave it out." if _FIXED[key] == _NEITHER else "Put one value of it into [base]."
            if key == "training.seed":
                hint = "Give --seed for another search." if where == "space" else "List the seeds in seeds."
            raise ConfigError(f"{key} cannot be in [{where}]: {_FIXED[key]}", hint=hint)
