"""Settings that have no effect because of another setting, such as cutout while augmentation is off.

A recipe may contain such settings, because they take effect as soon as the other setting changes. But anyone who
changes one, or studies its effect, should learn that it has none.
"""

from typing import Any

from dogvscat.config import NEEDS, Config
from dogvscat.settings.resolve import build_config
from dogvscat.settings.toml import toml_value


def inactive_settings(config: Config) -> dict[str, str]:
    """The settings that have no effect in a configuration, each with the setting that decides so.

    For example `{"training.warmup_share": "training.schedule", ...}` for a constant learning rate.
    """
    return {key: needed_key for key, (needed_key, value) in NEEDS.items() if _value(config, needed_key) != value}


def why_inactive(config: Config, key: str) -> str | None:
    """A sentence on why a setting has no effect in a configuration; None if it has one."""
    needed_key = inactive_settings(config).get(key)
    return needed_key and f"{key} has no effect while {needed_key} = {toml_value(_value(config, needed_key))}"


def without_inactive(config: Config) -> Config:
    """The configuration with every inactive setting at its default.

    Two configurations that train alike are equal in this form, so a study trains only one of them.
    """
    document, defaults = config.model_dump(), Config().model_dump()
    for key in inactive_settings(config):
        section, _, name = key.partition(".")
        document[section][name] = defaults[section][name]
    return build_config(document)


def _value(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
