"""Random numbers that depend only on the seed and on where they are used, not on what was drawn before.

A run that was killed can therefore resume with exactly the numbers it would have had. The mixing is SplitMix64:
Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
"""

from functools import lru_cache

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: its multiples spread evenly modulo 2**64


def stateless_uniform(seed: int, epoch: int, samples: np.ndarray, num_values: int) -> np.ndarray:
    """Uniform numbers for some samples of an epoch.

    Args:
        seed: The training seed.
        epoch: Which pass over the images, from 0.
        samples: int64 (num_samples,), the index of each training image.
        num_values: How many numbers each sample gets.

    Returns:
        float64 (num_samples, num_values) in [0, 1).
    """
    # Each sample has its own SplitMix64 stream: it starts at a hash of (seed, epoch, sample), and number k is the start
    # plus k golden steps, mixed. So a sample gets the same numbers whichever samples it is drawn with.
    starts = _mix(_hash(seed, epoch) ^ samples.astype(np.uint64))[:, None]  # (num_samples, 1)
    bits = _mix(starts + np.arange(1, num_values + 1, dtype=np.uint64) * _GOLDEN)  # (num_samples, num_values)
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)  # the 53 bits that a float64 can hold


def stateless_words(seed: int, *counters: int) -> np.ndarray:
    """Two 32-bit words for counters such as (epoch, step): the state of a Keras seed generator, uint32 (2,)."""
    word = int(_hash(seed, *counters)[0])
    return np.array([word >> 32, word & 0xFFFFFFFF], dtype=np.uint32)


@lru_cache(maxsize=4)  # every batch of an epoch asks for it, and so do the images that show neither class
def stateless_permutation(seed: int, epoch: int, num_samples: int) -> np.ndarray:
    """The order of the images in one epoch: a permutation, int64 (num_samples,), read-only."""
    order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_samples)
    order.setflags(write=False)  # all callers share it
    return order


def _hash(seed: int, *counters: int) -> np.ndarray:
    """One 64-bit word for a seed and counters, uint64 (1,): each counter is folded in and mixed before the next."""
    word = _mix(np.array([seed], dtype=np.uint64) + _GOLDEN)
    for counter in counters:
        word = _mix(word ^ (np.array([counter + 1], dtype=np.uint64) * _GOLDEN))
    return word


def _mix(words: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64: one-to-one, and each input bit changes about half of the output bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))
