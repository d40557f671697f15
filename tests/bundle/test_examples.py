"""The examples in the docstrings of the public entry points run and print what they say."""

import doctest
from types import ModuleType

import pytest

from dogvscat.bundle import evaluation
from dogvscat.bundle.predict import predictor

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("module", [evaluation, predictor])
def test_examples_print_what_they_say(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 5
    assert not results.failed
