"""Groups, and the closest copy of each photo, are those that comparing all pairs bit by bit gives."""

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest

from dogvscat.photos.copies.groups import Groups
from dogvscat.photos.copies.near_hashes import NEAR_DUPLICATE_BITS
from dogvscat.photos.duplicates import Pair, find_copies, group_names, near_duplicates
from dogvscat.photos.scan import ScannedPhoto

Hashes = np.ndarray
"""The bits of hashes by frequency, uint8 (n, 16, 16)."""
WAYS = list(product((False, True), repeat=4))
"""Inverted, rows swapped with columns, reversed in y, reversed in x."""


def _changed(hashes: Hashes, way: tuple[bool, ...]) -> Hashes:
    """The hashes of the pictures in another version."""
    y, x = np.indices((16, 16))
    inverted, swapped, reversed_y, reversed_x = way
    turned = hashes.transpose(0, 2, 1) if swapped else hashes
    return turned ^ inverted ^ (reversed_y & (y % 2)) ^ (reversed_x & (x % 2))


def _spoiled(rng: np.random.Generator, hashes: Hashes, counts: np.ndarray) -> Hashes:
    """The hashes with that many wrong bits each."""
    order = rng.random((len(hashes), 256)).argsort(axis=1).argsort(axis=1)
    return hashes ^ (order < counts[:, None]).reshape(-1, 16, 16)


def _digits(hashes: Hashes) -> list[str]:
    blocks = np.stack([hashes[:, y::2, x::2] for y, x in product((0, 1), (0, 1))], axis=1)
    return [row.tobytes().hex() for row in np.packbits(blocks.reshape(-1, 256), axis=1)]


def _distances(hashes: Hashes, references: Hashes) -> np.ndarray:
    """The fewest differing bits of each hash and each reference in any version: int (n, num_references)."""
    rows = hashes.reshape(len(hashes), 256).astype(np.float32)
    distances = []
    for way in WAYS:
        columns = _changed(references, way).reshape(len(references), 256).astype(np.float32)
        distances.append(rows @ (1 - columns).T + (1 - rows) @ columns.T)
    return np.min(distances, axis=0).astype(int)


def _random(rng: np.random.Generator, count: int) -> Hashes:
    return rng.integers(0, 2, (count, 16, 16), dtype=np.uint8)


def _unrelated(rng: np.random.Generator) -> Hashes:
    return _random(rng, 300)


def _at_the_threshold(rng: np.random.Generator) -> Hashes:
    """Each with a copy in some version, of which 44 to 52 bits are wrong."""
    originals = _random(rng, 150)
    copies = np.concatenate([_changed(originals[i : i + 1], WAYS[i % 16]) for i in range(150)])
    return np.concatenate([originals, _spoiled(rng, copies, 44 + np.arange(150) % 9)])


def _many_equal(rng: np.random.Generator) -> Hashes:
    """Five hashes, each very often, mirrored ones of the same five, and one that is near all of the first."""
    few = _random(rng, 5)
    equal = few[rng.integers(0, 5, 200)]
    mirrored = _changed(few, (False, False, False, True))[rng.integers(0, 5, 60)]
    return rng.permutation(np.concatenate([equal, mirrored, _spoiled(rng, few[:1], np.array([1])), _random(rng, 20)]))


def _chains(rng: np.random.Generator) -> Hashes:
    """Each differs in 30 bits from the one before: neighbors are near, the ends of the chain are not."""
    hashes = [_random(rng, 1)]
    for _ in range(150):
        hashes.append(_spoiled(rng, hashes[-1], np.array([30])))
    return rng.permutation(np.concatenate([*hashes, _random(rng, 50)]))


def _one_cluster(rng: np.random.Generator) -> Hashes:
    """All within 20 bits of one hash, so that nearly all pairs are near."""
    return _spoiled(rng, np.repeat(_random(rng, 1), 250, axis=0), rng.integers(0, 21, 250))


def _plain(rng: np.random.Generator) -> Hashes:
    """Hashes with hardly any bit set, or nearly all: their versions are similar to each other as well."""
    return np.concatenate([np.zeros((3, 16, 16), np.uint8), (_random(rng, 200) & (rng.random((200, 16, 16)) < 0.2))])


@pytest.mark.parametrize("make", [_unrelated, _at_the_threshold, _many_equal, _chains, _one_cluster, _plain])
@pytest.mark.parametrize("seed", [0, 1])
def test_groups_agree_with_comparing_all_pairs(make: Callable[[np.random.Generator], Hashes], seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = make(rng)
    distances, digits = _distances(hashes, hashes), _digits(hashes)
    # Of equal hashes, some belong to equal files.
    files = [f"{digits[i]}{rng.integers(3)}" for i in range(len(hashes))]
    photos = [ScannedPhoto("", 0, "", 1, files[i], digits[i], 9, 9, "RGB", 50.0, "", "") for i in range(len(hashes))]
    expected = {
        (a, b): int(distances[a, b])
        for a, b in combinations(range(len(hashes)), 2)
        if distances[a, b] <= NEAR_DUPLICATE_BITS and files[a] != files[b]
    }
    pairs = near_duplicates(photos)
    assert {(pair.first, pair.second): pair.bits for pair in pairs}.items() <= expected.items()
    assert len(pairs) <= 2 * len(photos)
    assert group_names(photos, pairs) == group_names(photos, [Pair(a, b, bits) for (a, b), bits in expected.items()])
    assert _closest(pairs) == _closest([Pair(a, b, bits) for (a, b), bits in expected.items()])


def _closest(pairs: list[Pair]) -> dict[int, tuple[int, int]]:
    """Bits and index of the most similar photo of each photo; the first one if several are equally similar."""
    closest: dict[int, tuple[int, int]] = {}
    for first, second, bits, _ in pairs:
        assert bits is not None
        for index, copy in ((first, second), (second, first)):
            closest[index] = min((bits, copy), closest.get(index, (bits, copy)))
    return closest


@pytest.mark.parametrize("make", [_at_the_threshold, _many_equal, _plain])
def test_copies_of_references_agree_with_comparing_all_pairs(make: Callable[[np.random.Generator], Hashes]) -> None:
    hashes = make(np.random.default_rng(0))
    half = len(hashes) // 2
    distances = _distances(hashes[:half], hashes[half:])
    expected = [int(row.argmin()) if row.min() <= NEAR_DUPLICATE_BITS else None for row in distances]
    digits = _digits(hashes)
    assert find_copies(digits[:half], digits[half:]) == expected
    assert find_copies(["", *digits[:3]], ["", *digits[:3]])[0] is None


def test_joining_says_which_pairs_joined() -> None:
    groups = Groups(np.arange(8))
    first, second = np.array([3, 5, 3, 7, 5, 0, 6]), np.array([4, 3, 4, 7, 4, 1, 3])
    assert groups.join(first, second).tolist() == [0, 1, 5, 6]
    assert groups.roots(np.arange(8)).tolist() == [0, 0, 2, 3, 3, 3, 3, 7]
    assert groups.join(np.array([1]), np.array([0])).tolist() == []


def test_a_long_chain_is_one_group() -> None:
    for order in (1, -1):
        groups = Groups(np.arange(20_000))
        for start in range(0, 19_999, 100)[::order]:
            numbers = np.arange(start, min(start + 100, 19_999))[::order]
            groups.join(numbers, numbers + 1)
        assert not groups.roots(np.arange(20_000)).any()
