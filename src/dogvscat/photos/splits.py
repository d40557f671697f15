"""Which pictures train, which choose, which are read once: stratified, seeded, and no duplicate group in two parts."""

from collections.abc import Iterator, Sequence

import numpy as np

from dogvscat.config import DataConfig
from dogvscat.errors import DataError

TRAIN, VALIDATION, TEST, LEFT_OUT = "train", "validation", "test", ""


def assign_splits(labels: Sequence[int], groups: Sequence[str], config: DataConfig) -> list[str]:
    """A split for each picture.

    Args:
        labels: 0 or 1 for each picture.
        groups: Duplicate group of each, all of one label; a group lands in one split as a whole.
        config: Seed and shares.

    Returns:
        `train`, `validation` or `test` for each, in the order given. The result depends on group names and the seed
        only, not on the order of pictures.

    Raises:
        DataError: if a class is left without a training or a validation picture.
    """
    wanted = _wanted_counts(len(labels), config)
    splits = [TRAIN] * len(labels)
    for label in (0, 1):
        members = [index for index, this in enumerate(labels) if this == label]
        counts = {name: _class_count(total, label, labels) for name, total in wanted.items()}
        for index, split in _fill(members, groups, counts, seed=(config.split_seed, label)):
            splits[index] = split
    check_splits(labels, splits)
    return splits


def honour_declared(
    declared: Sequence[str], labels: Sequence[int], groups: Sequence[str], config: DataConfig
) -> list[str]:
    """Splits as the folders declare them; validation is carved from training where none is declared.

    A training picture that also lies, exactly or nearly, in a held-out folder is left out of training: its copy would
    be judged by a network that has seen it. The same holds for a validation picture that is also a test picture.

    Raises:
        DataError: as `assign_splits`, or if a test split is asked for beside declared ones.
    """
    splits = list(declared)
    if config.test_share and TEST not in splits:
        hint = "Put the photos to test on into a folder `test` beside `train`, or ask for no test split."
        raise DataError("the folders declare their own splits, and none of them is a test split", hint=hint)
    if VALIDATION not in splits:
        pool = [index for index, split in enumerate(splits) if split == TRAIN]
        config = config.model_copy(update={"test_share": 0.0})
        carved = assign_splits([labels[i] for i in pool], [groups[i] for i in pool], config)
        for index, split in zip(pool, carved, strict=True):
            splits[index] = split
    for held_out, lower in ((TEST, (TRAIN, VALIDATION)), (VALIDATION, (TRAIN,))):
        kept = {group for group, split in zip(groups, splits, strict=True) if split == held_out}
        splits = [
            LEFT_OUT if split in lower and group in kept else split for split, group in zip(splits, groups, strict=True)
        ]
    check_splits(labels, splits)
    return splits


def learning_subset(
    splits: Sequence[str], labels: Sequence[int], groups: Sequence[str], config: DataConfig
) -> list[str]:
    """The splits with all but `train_subset` training pictures left out.

    Args:
        splits: As assigned.
        labels: 0 or 1 for each picture.
        groups: Duplicate group of each; the order in which pictures are taken depends on these and the seed alone.
        config: Seed and `train_subset`, 0 for all.

    Raises:
        DataError: if there are fewer training pictures than that.
    """
    training = [index for index, split in enumerate(splits) if split == TRAIN]
    if not config.train_subset:
        return list(splits)
    if config.train_subset > len(training):
        message = f"data.train_subset asks for {config.train_subset:,} training pictures, there are {len(training):,}"
        raise DataError(message, hint="Ask for fewer, or 0 for all.")
    kept: set[int] = set()
    for label in (0, 1):
        members = sorted((index for index in training if labels[index] == label), key=lambda index: groups[index])
        share = len(members) / len(training)
        count = (
            round(config.train_subset * share)
            if label
            else config.train_subset - round(config.train_subset * (1 - share))
        )
        order = np.random.default_rng((config.split_seed, 3, label)).permutation(len(members))
        kept.update(members[position] for position in order[:count])
    chosen = [LEFT_OUT if split == TRAIN and index not in kept else split for index, split in enumerate(splits)]
    check_splits(labels, chosen)
    return chosen


def tested_groups(groups: Sequence[str], config: DataConfig) -> set[str]:
    """The duplicate groups, of photos of neither, that are kept for testing.

    Args:
        groups: Of each photo.
        config: Seed, and `neither_test_share` of the groups, at least one and not all.

    Raises:
        DataError: if there are fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        hint = "A few hundred are needed to be of use; `dogvscat audit` says what is wrong with a photo."
        raise DataError(f"at least 2 different photos of neither are needed, found {len(names)}", hint=hint)
    count = min(max(round(len(names) * config.neither_test_share), 1), len(names) - 1)
    return set(np.random.default_rng((config.split_seed, 2)).permutation(names)[:count].tolist())


def check_splits(labels: Sequence[int], splits: Sequence[str]) -> None:
    """Make sure that training and validation hold both classes.

    Raises:
        DataError: naming the split and the counts.
    """
    for name in (TRAIN, VALIDATION):
        counts = [
            sum(1 for this, split in zip(labels, splits, strict=True) if split == name and this == k) for k in (0, 1)
        ]
        if min(counts) == 0:
            raise DataError(
                f"the {name} split needs photos of both classes, it would hold {counts[0]} and {counts[1]}",
                hint="Add photos, or change data.validation_share and data.test_share.",
            )


def _wanted_counts(num_usable: int, config: DataConfig) -> dict[str, int]:
    test = round(num_usable * config.test_share)
    rest = num_usable - test
    validation = round(rest * config.validation_share)
    if config.train_count and rest - config.train_count >= validation / 2:
        validation = rest - config.train_count
    return {TEST: test, VALIDATION: max(validation, 2)}


def _class_count(total: int, label: int, labels: Sequence[int]) -> int:
    """How many of `total` held-out pictures this class gives: in proportion, both classes adding up exactly."""
    share_of_positive = sum(labels) / max(len(labels), 1)
    positive = round(total * share_of_positive)
    if total >= 2:
        positive = min(max(positive, 1), total - 1)
    return positive if label == 1 else total - positive


def _fill(
    members: list[int], groups: Sequence[str], counts: dict[str, int], seed: tuple[int, int]
) -> Iterator[tuple[int, str]]:
    """Deal whole groups, in seeded order, into the held-out parts until each is exactly full."""
    by_group: dict[str, list[int]] = {}
    for index in members:
        by_group.setdefault(groups[index], []).append(index)
    names = sorted(by_group)
    order = np.random.default_rng(seed).permutation(len(names))
    room = dict(counts)
    for position in order:
        group = by_group[names[position]]
        for split in (TEST, VALIDATION):
            if len(group) <= room[split]:
                room[split] -= len(group)
                yield from ((index, split) for index in group)
                break
