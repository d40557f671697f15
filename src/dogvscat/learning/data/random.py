"""Random numbers that depend on the seed and the place they are used at, and on nothing drawn before.

A run that was killed can therefore go on with exactly the numbers it would have had. The mixing is SplitMix64:
Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
"""

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def stateless_uniform(seed: int, epoch: int, samples: np.ndarray, num_values: int) -> np.ndarray:
    """Uniform numbers for some samples of an epoch.

    Args:
        seed: The training seed.
        epoch: Which pass over the pictures, from 0.
        samples: int64 (num_samples,), number of each training picture.
        num_values: Numbers wanted for each sample.

    Returns:
        float64 (num_samples, num_values) in [0, 1).
    """
    place = _mix(_words(seed, epoch) ^ samples.astype(np.uint64))[:, None]  # (num_samples, 1)
    bits = _mix(place + np.arange(1, num_values + 1, dtype=np.uint64) * _GOLDEN)  # (num_samples, num_values)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def stateless_words(seed: int, *place: int) -> np.ndarray:
    """Two 32-bit words for a place such as (epoch, step): the state of a Keras seed generator, uint32 (2,)."""
    word = int(_words(seed, *place)[0])
    return np.array([word >> 32, word & 0xFFFFFFFF], dtype=np.uint32)


def shuffled(seed: int, epoch: int, num_samples: int) -> np.ndarray:
    """The order of the pictures in one epoch: a permutation, int64 (num_samples,)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_samples)


def _words(seed: int, *place: int) -> np.ndarray:
    word = _mix(np.array([seed], dtype=np.uint64) + _GOLDEN)
    for number in place:
        word = _mix(word ^ (np.array([number + 1], dtype=np.uint64) * _GOLDEN))
    return word


def _mix(words: np.ndarray) -> np.ndarray:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
