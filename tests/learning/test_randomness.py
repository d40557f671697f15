"""Random numbers that are a function of seed and place."""

import numpy as np
import pytest
from scipy import stats

from dogvscat.learning.data.random import shuffled, stateless_uniform, stateless_words


def test_a_sample_gets_the_same_numbers_in_any_company() -> None:
    samples = np.arange(100)
    together = stateless_uniform(7, 3, samples, 5)
    alone = np.concatenate([stateless_uniform(7, 3, samples[i : i + 1], 5) for i in samples])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(("seed", "epoch"), [(8, 3), (7, 4), (3, 7)])
def test_other_seeds_and_epochs_give_other_numbers(seed: int, epoch: int) -> None:
    samples = np.arange(100)
    assert not np.isclose(stateless_uniform(7, 3, samples, 5), stateless_uniform(seed, epoch, samples, 5)).any()


def test_numbers_are_uniform_and_uncorrelated() -> None:
    numbers = np.concatenate([stateless_uniform(1, epoch, np.arange(4000), 4) for epoch in range(5)])
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    for column in numbers.T:  # a Kolmogorov-Smirnov test against the uniform distribution
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    correlation = np.corrcoef(np.column_stack([numbers[:-1], numbers[1:]]).T)
    assert np.abs(correlation - np.eye(8)).max() < 0.03


def test_the_order_of_an_epoch_is_a_permutation_of_its_own() -> None:
    first, second = shuffled(1, 0, 1000), shuffled(1, 1, 1000)
    assert sorted(first) == list(range(1000))
    assert np.mean(first == second) < 0.01
    np.testing.assert_array_equal(first, shuffled(1, 0, 1000))


def test_words_differ_between_places() -> None:
    places = [(epoch, step, layer) for epoch in range(10) for step in range(50) for layer in range(2)]
    words = {tuple(stateless_words(5, *place)) for place in places}
    assert len(words) == len(places)
