"""What the files of studies and searches have in common: the bundled ones, and the settings that no file may try."""

from collections.abc import Iterable
from pathlib import Path

from dogvscat.config import Config
from dogvscat.errors import ConfigError
from dogvscat.settings.errors import suggest

DEFAULT_RECIPE = "fast"
"""Studied, searched and range-tested unless another recipe is given."""

_SAME_PHOTOS = "every training is evaluated on the same photos"
_NEITHER = "studies and searches train without photos that show neither class"
_FIXED = {
    "data.split_seed": _SAME_PHOTOS,
    "data.validation_share": _SAME_PHOTOS,
    "data.test_share": _SAME_PHOTOS,
    "data.train_count": _SAME_PHOTOS,
    "data.neither_test_share": _NEITHER,
    "training.neither_share": _NEITHER,
    "network.neither_output": _NEITHER,
    "training.seed": "seeds show how much of an effect is luck; the best one is only the luckiest",
    "training.threads": "it changes only the last digits, and all trainings use the same number of threads",
}
"""The settings that are the same for every training, so that the trainings can be compared, each with the reason."""


def builtin_file(folder: Path, recipe: str | None, kind: str) -> Path:
    """The bundled file for a recipe.

    Args:
        folder: Where such files are, named after their recipe.
        recipe: None for `DEFAULT_RECIPE`.
        kind: What the file is, for the error, such as `study`.

    Raises:
        ConfigError: if there is none for this recipe.
    """
    # A recipe may also be a path. Then there is no such file here, and the message names it.
    name = recipe or DEFAULT_RECIPE
    file = folder / f"{name}.toml"
    if not file.is_file():
        names = sorted(path.stem for path in folder.glob("*.toml"))
        hint = f"There is one for {' and '.join(names)}; or give --config FILE.{suggest(name, names)}"
        raise ConfigError(f"there is no bundled {kind} for the recipe {name!r}", hint=hint)
    return file


def refuse_fixed(keys: Iterable[str], table: str) -> None:
    """Refuse to try settings that must have the same value in every training.

    Args:
        keys: The settings to try, such as `network.dropout`.
        table: The table that the keys are in, for the message.

    Raises:
        ConfigError: naming the first setting that may not be tried.
    """
    for key in keys:
        if key in _FIXED:
            # A setting about photos that show neither class does nothing here, so it need not be in [base] either.
            hint = "Leave it out." if _FIXED[key] == _NEITHER else "Put one value of it into [base]."
            if key == "training.seed":
                hint = "Give --seed for another search." if table == "space" else "List them as seeds = [1, 2, 3]."
            raise ConfigError(f"{key} cannot be in [{table}]: {_FIXED[key]}", hint=hint)


def refuse_neither_output(config: Config) -> None:
    """Make sure that a configuration trains on photos of the two classes only.

    Only `train --neither` has photos that show neither class. A second output would have nothing to learn from.

    Raises:
        ConfigError: if `network.neither_output` is set.
    """
    if config.network.neither_output:
        message = "network.neither_output is set, but only `train` takes photos that show neither class"
        raise ConfigError(message, hint="Add --set network.neither_output=false.")
