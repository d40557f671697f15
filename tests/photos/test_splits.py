"""Splits: exact shares, equal class shares, whole groups, and dependent only on seed and content."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from dogvscat.config import DataConfig
from dogvscat.errors import DataError
from dogvscat.photos.splits import assign_splits, check_splits, complete_declared_splits, limit_training


def _singles(count: int) -> list[str]:
    return [f"{number:05}" for number in range(count)]


def _random_groups(rng: random.Random, labels: Sequence[int], largest: int) -> list[str]:
    """Random groups of one label each, most of one photo."""
    groups: list[str] = []
    unfinished: dict[int, tuple[str, int]] = {}
    for label in labels:
        name, room = unfinished.get(label, ("", 0))
        if not room:
            name, room = f"{rng.getrandbits(64):016x}", rng.choice([1, 1, 1, rng.randint(1, largest)])
        groups.append(name)
        unfinished[label] = (name, room - 1)
    return groups


@pytest.mark.parametrize(
    ("num_cats", "num_dogs", "settings", "expected"),
    [
        (90, 90, {}, {"train": (80, 80), "validation": (10, 10)}),
        (900, 90, {}, {"train": (800, 80), "validation": (100, 10)}),
        (2, 2, {}, {"train": (1, 1), "validation": (1, 1)}),
        (3, 100, {"validation_share": 0.1}, {"train": (2, 91), "validation": (1, 9)}),  # 10.3, at least one of each
        (50, 50, {"test_share": 0.1}, {"train": (40, 40), "validation": (5, 5), "test": (5, 5)}),
        (50, 50, {"train_count": 70}, {"train": (35, 35), "validation": (15, 15)}),
        (50, 50, {"train_count": 94}, {"train": (47, 47), "validation": (3, 3)}),  # 6 is more than half of 11
        (54, 45, {"train_count": 96}, {"train": (48, 40), "validation": (6, 5)}),  # 3 is less: by share
        (54, 45, {"train_count": 20_000}, {"train": (48, 40), "validation": (6, 5)}),
        (50, 50, {"train_count": 60, "test_share": 0.2}, {"train": (30, 30), "validation": (10, 10), "test": (10, 10)}),
    ],
)  # fmt: skip
def test_shares_are_exact_and_stratified(
    num_cats: int, num_dogs: int, settings: dict[str, float], expected: dict[str, tuple[int, int]]
) -> None:
    labels = [0] * num_cats + [1] * num_dogs
    splits = assign_splits(labels, _singles(len(labels)), DataConfig(**settings))
    counts = Counter(zip(splits, labels, strict=True))
    class_counts = {split: (counts[split, 0], counts[split, 1]) for split in set(splits)}
    assert class_counts == expected


def test_groups_are_never_divided_and_shares_stay_exact() -> None:
    for seed in range(120):
        rng = random.Random(seed)
        labels = [rng.randrange(2) for _ in range(rng.randint(60, 300))]
        groups = _random_groups(rng, labels, largest=6)
        config = DataConfig(split_seed=seed, validation_share=0.2, test_share=0.1)
        splits = assign_splits(labels, groups, config)
        group_splits = {(group, split) for group, split in zip(groups, splits, strict=True)}
        assert len(group_splits) == len(set(groups))
        num_test = round(0.1 * len(labels))
        assert splits.count("test") == num_test
        assert splits.count("validation") == round(0.2 * (len(labels) - num_test))


def test_the_order_of_photos_does_not_matter() -> None:
    rng = random.Random(0)
    labels = [rng.randrange(2) for _ in range(200)]
    groups = _random_groups(rng, labels, largest=3)
    config = DataConfig(test_share=0.2)
    by_group = dict(zip(groups, assign_splits(labels, groups, config), strict=True))
    for _ in range(10):
        order = rng.sample(range(200), 200)
        shuffled = assign_splits([labels[i] for i in order], [groups[i] for i in order], config)
        assert shuffled == [by_group[groups[i]] for i in order]


def test_seeds_decide() -> None:
    labels, groups = [0, 1] * 100, _singles(200)
    splits = [tuple(assign_splits(labels, groups, DataConfig(split_seed=seed))) for seed in (0, 0, 1, 2)]
    assert splits[0] == splits[1]
    assert len(set(splits)) == 3


def test_held_out_parts_are_drawn_evenly() -> None:
    """Each photo is in validation as often as any other: 300 seeds, a share of 1/5, binomial spread."""
    labels, groups = [0, 1] * 20, _singles(40)
    held_out = Counter(
        index
        for seed in range(300)
        for index, split in enumerate(assign_splits(labels, groups, DataConfig(split_seed=seed, validation_share=0.2)))
        if split == "validation"
    )
    assert sum(held_out.values()) == 300 * 8
    assert all(30 <= held_out[index] <= 95 for index in range(40))  # 60 expected, standard deviation 7


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (
            [0, 0, 0, 1],
            None,
            "the train split needs photos of both classes, it would have [12] of one, 0 of the other",
        ),
        ([0, 0, 1, 1], ["a", "b", "c", "c"], "needs photos of both classes"),
        ([0, 0, 0], None, "needs photos of both classes"),
        ([], None, "needs photos of both classes, it would have 0 of one, 0 of the other"),
    ],
)
def test_too_few_photos_are_an_error(labels: list[int], groups: list[str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_splits(labels, groups or _singles(len(labels)), DataConfig())


def test_check_splits_names_the_split() -> None:
    check_splits([0, 1, 0, 1], ["train", "train", "validation", "validation"])
    with pytest.raises(DataError, match=r"the validation split .* have 1 of one, 0 of the other") as caught:
        check_splits([0, 1, 0, 1], ["train", "train", "validation", ""])
    assert "data.validation_share" in str(caught.value.hint)


def test_declared_splits_are_honored() -> None:
    declared = ["train", "train", "validation", "validation", "test", "test"]
    assert complete_declared_splits(declared, [0, 1] * 3, _singles(6), DataConfig(split_seed=5)) == declared


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("abcdef", ["train", "train", "validation", "validation", "test", "test"]),
        ("abadeb", ["", "", "validation", "validation", "test", "test"]),
        ("abcdcf", ["train", "train", "", "validation", "test", "test"]),
        ("abcded", ["train", "train", "validation", "", "test", "test"]),
        ("abaaaf", ["", "train", "", "", "test", "test"]),
    ],
)
def test_copies_of_held_out_photos_are_left_out(groups: str, expected: list[str]) -> None:
    """Six photos, and four more so that no split is empty."""
    declared = ["train", "train", "validation", "validation", "test", "test"]
    labels = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    spare = ["train", "train", "validation", "validation"]
    splits = complete_declared_splits(declared + spare, labels, [*groups, *"wxyz"], DataConfig())
    assert splits == expected + spare


def test_validation_is_drawn_where_only_train_and_test_are_declared() -> None:
    declared = ["train"] * 90 + ["test"] * 10
    labels = [0, 1] * 50
    groups = _singles(100)
    groups[99] = groups[3]  # a test photo is a copy of a training photo
    splits = complete_declared_splits(declared, labels, groups, DataConfig())
    assert splits[90:] == ["test"] * 10
    assert splits[3] == ""
    counted = Counter(zip(splits[:90], labels, strict=False))
    assert counted["validation", 0] + counted["train", 0] == 45
    assert counted["validation", 0] == 5
    assert counted["validation", 1] in (4, 5)  # the copy may have been drawn for it


def test_a_test_share_needs_a_declared_test_split() -> None:
    with pytest.raises(DataError, match=r"data\.test_share is 0\.1, .* none of them is a test split") as caught:
        complete_declared_splits(["train", "validation"] * 2, [0, 0, 1, 1], _singles(4), DataConfig(test_share=0.1))
    assert "a folder `test`" in str(caught.value.hint)


def test_declared_training_folders_with_nothing_usable() -> None:
    with pytest.raises(DataError, match="the train split needs photos of both classes"):
        complete_declared_splits(["test"] * 4, [0, 1, 0, 1], _singles(4), DataConfig())


def test_a_training_subset_does_not_change_validation() -> None:
    labels = [0] * 60 + [1] * 30
    groups = [f"{number:03d}" for number in range(90)]
    config = DataConfig(validation_share=0.2)
    whole = assign_splits(labels, groups, config)
    subsets = [
        limit_training(whole, labels, groups, config.model_copy(update={"train_subset": count}))
        for count in (0, 9, 30, whole.count("train"))
    ]
    assert subsets[0] == subsets[3] == whole
    for subset, count in zip(subsets[1:3], (9, 30), strict=True):
        assert subset.count("train") == count
        assert [split == "validation" for split in subset] == [split == "validation" for split in whole]
        assert (
            sum(1 for split, label in zip(subset, labels, strict=True) if split == "train" and label == 1) == count / 3
        )
    assert {i for i, split in enumerate(subsets[1]) if split == "train"} < {
        i for i, split in enumerate(subsets[2]) if split == "train"
    }
    with pytest.raises(DataError, match="asks for 73 training photos, there are 72"):
        limit_training(whole, labels, groups, config.model_copy(update={"train_subset": 73}))
