"""Settings that are said to have no effect have none, and those that have one are not said to have none."""

import numpy as np
import pytest

from dogvscat.config import Config
from dogvscat.learning.inactive_settings import inactive_settings, why_inactive, without_inactive
from dogvscat.learning.model.networks import build_network
from dogvscat.learning.model.optimizers import learning_rate
from dogvscat.settings.resolve import resolve_config, with_settings
from dogvscat.settings.toml import toml_value
from tests.helpers import plain_layers, residual_layers

NETWORK = {
    "network.layers": '"conv 4, global mean"',
    "network.initializer": "he",
    "network.width": "2.0",
    "network.dropout": "0.1",
    "network.changes": "norm after each conv",
    "network.neither_output": "true",
}
SCHEDULE = {
    "training.learning_rate": "0.1",
    "training.warmup_share": "0.6",
    "training.plateau_factor": "0.1",
}


def tiny(*settings: str) -> Config:
    sizes = ["data.image_size=32", f"network.layers={toml_value(plain_layers(4, 6))}"]
    return resolve_config("classic", None, [*sizes, *settings])


@pytest.mark.parametrize("layers", [plain_layers(4, 6), residual_layers(4, 6)])
@pytest.mark.parametrize("key", NETWORK)
def test_a_setting_is_inactive_exactly_if_the_network_stays_the_same(layers: tuple[str, ...], key: str) -> None:
    config = tiny(f"network.layers={toml_value(layers)}")
    other = with_settings(config, [f"{key}={NETWORK[key]}"])
    same = shape(config) == shape(other)
    assert same == (key in inactive_settings(config))
    assert same == (without_inactive(config) == without_inactive(other))


@pytest.mark.parametrize("schedule", ["constant", "one_cycle", "reduce_on_plateau"])
@pytest.mark.parametrize("key", SCHEDULE)
def test_a_setting_is_inactive_exactly_if_the_learning_rates_stay_the_same(schedule: str, key: str) -> None:
    config = tiny(f"training.schedule={schedule}")
    other = with_settings(config, [f"{key}={SCHEDULE[key]}"])
    same = np.array_equal(rates(config), rates(other))
    assert same == (key in inactive_settings(config))


def test_without_augmentation_its_parts_are_inactive() -> None:
    config = tiny("augmentation.enabled=false")
    assert "augmentation.cutout" in inactive_settings(config)
    assert "augmentation.enabled" not in inactive_settings(config)
    assert not any(key.startswith("augmentation") for key in inactive_settings(tiny()))


def test_why_a_setting_is_inactive_is_said_in_words() -> None:
    assert why_inactive(tiny(), "training.warmup_share") == (
        'training.warmup_share has no effect while training.schedule = "reduce_on_plateau"'
    )
    off = tiny("augmentation.enabled=false")
    message = "augmentation.flip has no effect while augmentation.enabled = false"
    assert why_inactive(off, "augmentation.flip") == message
    assert why_inactive(tiny(), "network.dropout") is None


def shape(config: Config) -> str:
    """Every layer of the network with its settings."""
    return str(build_network(config.network, 32).to_json())


def rates(config: Config) -> list[float]:
    """Of ten steps, without and after reductions."""
    return [learning_rate(config.training, step, 10, reductions) for step in range(10) for reductions in (0, 1)]
