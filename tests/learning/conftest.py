"""One thread for every network in this process: the backend cannot change its mind later."""

import pytest

from dogvscat.learning.backend import prepare_backend


@pytest.fixture(scope="session", autouse=True)
def _backend() -> None:
    prepare_backend(1)
