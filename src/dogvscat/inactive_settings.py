"""Settings that change nothing beside others: cutout where augmentation is off, a warm-up in a schedule without one.

None is an error in a recipe, which may well be the base of changes that wake it. But whoever changes one, or studies
what it does, wants to know that it does nothing.
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
"""By a setting and each of its values, the settings that have an effect with that value alone."""


def idle_settings(config: Config) -> dict[str, str]:
    """The settings that have no effect in a configuration, each with the setting that decides so.

    For example `{"network.stem_filters": "network.name", ...}` for a plain network.
    """
    idle = {}
    for decisive, users in _USED_BY.items():
        for value, keys in users.items():
            if value != _value(config, decisive):
                idle.update(dict.fromkeys(keys, decisive))
    return idle


def why_idle(config: Config, key: str) -> str | None:
    """For people: why a setting has no effect in a configuration; None if it has one."""
    decisive = idle_settings(config).get(key)
    return decisive and f"{key} has no effect while {decisive} = {toml_value(_value(config, decisive))}"


def without_idle(config: Config) -> Config:
    """The configuration with every idle setting at its default: equal for two that train alike."""
    document, defaults = config.model_dump(), Config().model_dump()
    for key in idle_settings(config):
        section, _, name = key.partition(".")
        document[section][name] = defaults[section][name]
    return build_config(document)


def _value(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
