"""Settings that have no effect because of another setting, such as cutout where augmentation is switched off.

A recipe may contain them, because a change of the other setting gives them an effect. But anyone who changes one, or
studies its effect, should learn that it has none.
"""

from typing import Any

from dogvscat.config import AugmentationConfig, Config
from dogvscat.settings import build_config, toml_value

_USED_BY: dict[str, dict[Any, tuple[str, ...]]] = {
    "network.name": {
        "plain": ("network.dense_units", "network.batch_normalization"),
        "residual": ("network.stem_filters", "network.residual_blocks"),
    },
    "training.schedule": {
        "one_cycle": ("training.warmup_share",),
        "reduce_on_plateau": ("training.plateau_patience", "training.plateau_factor"),
    },
    "augmentation.enabled": {
        True: tuple(f"augmentation.{name}" for name in AugmentationConfig.model_fields if name != "enabled")
    },
}
"""For each deciding setting and each of its values: the settings that have an effect only with that value."""


def inactive_settings(config: Config) -> dict[str, str]:
    """The settings that have no effect in a configuration, each with the setting that decides so.

    For example `{"network.stem_filters": "network.name", ...}` for a plain network.
    """
    inactive = {}
    for deciding_key, users in _USED_BY.items():
        for value, keys in users.items():
            if value != _value(config, deciding_key):
                inactive.update(dict.fromkeys(keys, deciding_key))
    return inactive


def why_inactive(config: Config, key: str) -> str | None:
    """A sentence on why a setting has no effect in a configuration; None if it has one."""
    deciding_key = inactive_settings(config).get(key)
    return deciding_key and f"{key} has no effect while {deciding_key} = {toml_value(_value(config, deciding_key))}"


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
