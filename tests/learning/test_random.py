"""Random numbers that are a function of the seed and of where they are used."""

import numpy as np
import pytest
from scipy import stats

from dogvscat.learning.data.random import stateless_permutation, stateless_uniform, stateless_words


def test_a_sample_gets_the_same_numbers_in_any_batch() -> None:
    samples = np.arange(100)
    together = stateless_uniform(7, 3, samples, 5)
    separately = np.concatenate([stateless_uniform(7, 3, samples[i : i + 1], 5) for i in samples])
    np.testing.assert_array_equal(together, separately)


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


def test_each_epoch_has_its_own_permutation() -> None:
    first, second = (stateless_permutation(1, epoch, 1000) for epoch in (0, 1))
    assert sorted(first) == list(range(1000))
    assert np.mean(first == second) < 0.01
    np.testing.assert_array_equal(first, stateless_permutation(1, 0, 1000))


def test_words_differ_between_all_counters() -> None:
    counters = [(epoch, step, layer) for epoch in range(10) for step in range(50) for layer in range(2)]
    words = {tuple(stateless_words(5, *numbers)) for numbers in counters}
    assert len(words) == len(counters)
