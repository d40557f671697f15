"""A training that ends before its pictures have grown says so."""

import pytest

from dogvscat.learning.loop.training import cut_short_growth
from dogvscat.settings.resolve import recipe_names, resolve_config


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["training.epochs=12"], "grow only to 96 px, and the network is evaluated at 128 px"),
        (["training.epochs=9"], "takes 16 epochs and training.epochs is 9: images grow only to 64 px"),
        (["training.epochs=16"], None),  # grown, though never to the size that is judged: `best` does so on purpose
        (["training.epochs=9", "data.image_size=64"], None),
        (["training.epochs=5", "training.progressive_resizing=[]"], None),
    ],
)
def test_growth_that_the_epochs_cut_short_is_told(settings: list[str], said: str | None) -> None:
    sentence = cut_short_growth(resolve_config("fast", None, settings))
    assert (said is None) == (sentence is None)
    assert (said or "") in (sentence or "")


@pytest.mark.parametrize("name", recipe_names())
def test_no_recipe_cuts_its_own_growth_short(name: str) -> None:
    assert cut_short_growth(resolve_config(name)) is None
