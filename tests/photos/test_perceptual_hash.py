"""The perceptual hash: its definition, and that it knows a picture in all sixteen versions."""

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.photos.copies.near_hashes import NEAR_DUPLICATE_BITS, NearHash, near_hashes
from dogvscat.photos.copies.perceptual_hash import GRAY_SIDE, perceptual_hash
from dogvscat.photos.decoding.decoder import decode_photo

VERSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda gray: gray,
    "mirrored": np.fliplr,
    "turned by 180 degrees": lambda gray: np.rot90(gray, 2),
    "turned by 90 degrees": np.rot90,
    "mirrored and turned": np.transpose,
    "inverted": lambda gray: 255 - gray,
    "mirrored and inverted": lambda gray: 255 - np.flipud(gray),
    "turned by 90 degrees and inverted": lambda gray: 255 - np.rot90(gray, 3),
}


def _bits(digits: str) -> np.ndarray:
    """The bits of a hash by frequency: bool (16, 16)."""
    blocks = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8)).reshape(2, 2, 8, 8)
    bits = np.zeros((16, 16), dtype=bool)
    for odd_y, odd_x in product((0, 1), (0, 1)):
        bits[odd_y::2, odd_x::2] = blocks[odd_y, odd_x]
    return bits


def _bits_by_hand(gray: np.ndarray) -> np.ndarray:
    """Which of the lowest 16 x 16 cosine frequencies are positive, the mean left out."""
    angles = np.pi * (np.arange(64)[None] + 0.5) * np.arange(64)[:, None] / 64
    bits = (np.cos(angles) @ gray @ np.cos(angles).T)[:16, :16] > 0
    bits[0, 0] = False
    return bits


def test_the_hash_agrees_with_its_definition(drawn_photos: Path) -> None:
    for path in sorted(drawn_photos.rglob("*.jpg"))[:20]:
        gray = np.asarray(Image.fromarray(decode_photo(path, GRAY_SIDE)).convert("L"), dtype=float)
        np.testing.assert_array_equal(_bits(perceptual_hash(gray)), _bits_by_hand(gray))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_picture_is_known_in_every_version(version: str) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (20, GRAY_SIDE, GRAY_SIDE))
    copies = [perceptual_hash(VERSIONS[version](picture)) for picture in pictures]
    near = list(near_hashes([perceptual_hash(picture) for picture in pictures], copies))
    # The bit of the mean is 0 in every hash, so inverting leaves it as the only one that is not flipped.
    assert near == [NearHash(index, index, int("inverted" in version), version) for index in range(20)]


def _distance_by_hand(first: np.ndarray, second: np.ndarray) -> int:
    """The fewest differing bits over all sixteen versions of the second hash, by flipping and swapping its bits."""
    y, x = np.indices((16, 16))
    distances = []
    for swap, flip_y, flip_x, invert in product((False, True), repeat=4):
        version = second.T if swap else second
        version = version ^ (flip_y & (y % 2 == 1)) ^ (flip_x & (x % 2 == 1)) ^ invert
        distances.append(int(np.sum(version != first)))
    return min(distances)


def test_distances_agree_with_counting_bits_in_all_versions() -> None:
    rng = random.Random(0)
    hashes = [f"{rng.getrandbits(256):064x}" for _ in range(12)]
    for index in range(12):  # a copy of each, in some version, with 40 to 51 wrong bits
        version = list(VERSIONS)[index % len(VERSIONS)]
        bits = int(hashes[index], 16)
        for bit in rng.sample(range(256), 40 + index):
            bits ^= 1 << bit
        x = np.arange(16)
        changed = _bits(f"{bits:064x}") ^ ("mirrored" in version and x % 2 == 1)
        changed = changed.T if "turned" in version else changed
        blocks = np.stack([changed[odd_y::2, odd_x::2] for odd_y, odd_x in product((0, 1), (0, 1))])
        hashes.append(np.packbits(blocks).tobytes().hex())
    expected = {}
    for first, second in product(range(24), range(24)):
        distance = _distance_by_hand(_bits(hashes[first]), _bits(hashes[second]))
        if first < second and distance <= NEAR_DUPLICATE_BITS:
            expected[first, second] = distance
    assert {near[:2]: near.bits for near in near_hashes(hashes)} == expected
    assert sorted(expected.values()) == list(range(40, NEAR_DUPLICATE_BITS + 1))


def test_no_hashes_have_no_pairs() -> None:
    assert list(near_hashes([])) == list(near_hashes(["0" * 64])) == list(near_hashes([], ["0" * 64])) == []
