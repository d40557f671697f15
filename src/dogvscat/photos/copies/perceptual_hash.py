"""The perceptual hash: 256 bits that hardly change when a photo is saved again, scaled, mirrored, turned or inverted.

Each bit is the sign of one of the lowest 16 x 16 frequencies of the gray picture. Mirroring a picture only flips the
signs of its odd frequencies, turning it swaps rows with columns as well, and inverting it flips every sign. So the
hash of one version gives the hashes of all sixteen versions, without hashing their pictures.
"""

import numpy as np

HASH_SIDE = 16
"""The hash has HASH_SIDE x HASH_SIDE bits. With the usual 64 bits, different photos lie less far apart."""
GRAY_SIDE = 4 * HASH_SIDE
"""Side of the gray picture that a hash is computed from, in pixels."""
NUM_BITS = HASH_SIDE * HASH_SIDE


def perceptual_hash(gray: np.ndarray) -> str:
    """The hash of a picture, as 64 hexadecimal digits.

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010. In that hash a bit says
    whether a frequency is above the median. Here it is the sign of the frequency: nearly the same, but known exactly
    after mirroring.

    Args:
        gray: Any numbers (GRAY_SIDE, GRAY_SIDE), brightness.
    """
    frequencies = _COSINES @ gray @ _COSINES.T  # (HASH_SIDE, HASH_SIDE)
    frequencies[0, 0] = 0.0  # the mean brightness: always positive, it says nothing
    return np.packbits((frequencies > 0).ravel()[_BY_PARITY]).tobytes().hex()


def _by_parity() -> np.ndarray:
    """Indices of the frequencies in four blocks: even in y and x, odd in x only, odd in y only, odd in both.

    Mirroring then flips whole blocks.

    Returns:
        int64 (NUM_BITS,), into the frequencies in rows.
    """
    indices = np.arange(NUM_BITS).reshape(HASH_SIDE, HASH_SIDE)
    return np.concatenate([indices[y::2, x::2].ravel() for y in (0, 1) for x in (0, 1)])


def _cosines() -> np.ndarray:
    """The lowest cosine waves over the side of the picture, float64 (HASH_SIDE, GRAY_SIDE), one per row."""
    positions = (np.arange(GRAY_SIDE) + 0.5) / GRAY_SIDE
    return np.cos(np.pi * np.arange(HASH_SIDE)[:, None] * positions)


_COSINES = _cosines()
_BY_PARITY = _by_parity()
