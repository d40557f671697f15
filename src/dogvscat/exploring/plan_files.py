"""The studies and search spaces that ship, a TOML file for a recipe."""

from pathlib import Path

from dogvscat.errors import ConfigError
from dogvscat.settings import nearest


def shipped_file(folder: Path, recipe: str | None, what: str) -> Path:
    """The file that ships for a recipe.

    Args:
        folder: Where such files lie, named by recipe.
        recipe: None for `classic`.
        what: What it is called in the error, such as `study`.

    Raises:
        ConfigError: if there is none.
    """
    name = recipe or "classic"
    file = folder / f"{name}.toml"
    if not file.is_file():
        known = sorted(path.stem for path in folder.glob("*.toml"))
        hint = f"There is one for {' and '.join(known)}; or give --config FILE.{nearest(name, known)}"
        raise ConfigError(f"no {what} ships for the recipe {name!r}", hint=hint)
    return file
