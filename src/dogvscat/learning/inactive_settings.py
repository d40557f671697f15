"""Settings that have no effect because of another setting, such as cutout where augmentation is switched off.

A recipe may contain them, because a change of the other setting gives them an effect. But anyone who changes one, or
studies its effect, should learn that it has none. `Config.inactive_settings` says which they are.
"""

from dogvscat.config import Config
from dogvscat.settings import build_config, toml_value


def why_inactive(config: Config, key: str) -> str | None:
    """A sentence on why a setting has no effect in a configuration; None if it has one."""
    deciding_key = config.inactive_settings.get(key)
    return deciding_key and f"{key} has no effect while {deciding_key} = {toml_value(config.value(deciding_key))}"


def without_inactive(config: Config) -> Config:
    """The configuration with every inactive setting at its default.

    Two configurations that train alike are equal in this form, so a study trains only one of them.
    """
    document, defaults = config.model_dump(), Config()
    for key in config.inactive_settings:
        section, _, name = key.partition(".")
        document[section][name] = defaults.value(key)
    return build_config(document)
