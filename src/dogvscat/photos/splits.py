"""Which photos train, which validate and which test: stratified, seeded, and no duplicate group in two splits.

Training photos fit the weights; validation photos choose epoch, temperature and bias; test photos are used once,
by `evaluate`. A photo in none of them has the empty split.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from dogvscat.config import DataConfig
from dogvscat.errors import DataError
from dogvscat.photos.scan import ScannedPhoto
from dogvscat.text import pluralize

TRAIN, VALIDATION, TEST, LEFT_OUT = "train", "validation", "test", ""
MAX_UNREADABLE_SHARE = 0.5
"""Above this share of unreadable photos, something is wrong with the whole folder and not with single photos."""

# Each use of the split seed has a number of its own, so that their random orders are unrelated: the labels 0 and 1 for
# the splits of each class, and these.
_NEITHER_STREAM, _SUBSET_STREAM = 2, 3


def choose_splits(
    scanned: Sequence[ScannedPhoto], groups: Sequence[str], conflicting: Collection[str], config: DataConfig
) -> list[str]:
    """A split for each photo of a source: as its folders declare, else drawn.

    Args:
        scanned: The photos.
        groups: The name of each photo's duplicate group.
        conflicting: Paths of photos that are filed under both classes. They are left out, like unreadable ones.
        config: Seed, shares and limit.

    Raises:
        DataError: if most photos cannot be read, or too few remain to train and validate with both classes.
    """
    refuse_if_mostly_unreadable(scanned)
    usable = [i for i, photo in enumerate(scanned) if not photo.error_code and photo.path not in conflicting]
    labels = [scanned[i].label for i in usable]
    if min(labels.count(0), labels.count(1)) < 2:
        unusable = len(scanned) - len(usable)
        hint = f"`dogvscat audit` shows what is wrong with {pluralize(unusable, 'other photo')}." if unusable else None
        raise DataError(
            f"at least 2 usable photos of each class are needed, found {labels.count(0)} and {labels.count(1)}",
            hint=hint or "Add photos: a useful network needs a few hundred of each class.",
        )
    # From here on lists are of the usable photos only; `usable` leads back to the indices of all photos.
    usable_groups = [groups[i] for i in usable]
    declared = [scanned[i].declared_split for i in usable]
    assigned = (
        complete_declared_splits(declared, labels, usable_groups, config)
        if any(declared)
        else assign_splits(labels, usable_groups, config)
    )
    limited = limit_training(assigned, labels, usable_groups, config)
    splits = [LEFT_OUT] * len(scanned)
    for index, split in zip(usable, limited, strict=True):
        splits[index] = split
    return splits


def refuse_if_mostly_unreadable(scanned: Sequence[ScannedPhoto]) -> None:
    """Raise if so many photos cannot be read that something is wrong with the whole folder.

    Raises:
        DataError: if they are more than `MAX_UNREADABLE_SHARE` of all photos.
    """
    unreadable = [photo for photo in scanned if photo.error_code]
    if len(unreadable) > MAX_UNREADABLE_SHARE * len(scanned):
        first = unreadable[0]
        raise DataError(
            f"{len(unreadable)} of {len(scanned)} photos cannot be read, for example {first.path}: {first.error}",
            hint="`dogvscat audit` lists every one of them.",
        )


def assign_splits(labels: Sequence[int], groups: Sequence[str], config: DataConfig) -> list[str]:
    """A split for each photo.

    Args:
        labels: 0 or 1 for each photo.
        groups: The name of each photo's duplicate group. All photos of a group have the same label, and the group gets
            one split as a whole.
        config: Seed and shares.

    Returns:
        `train`, `validation` or `test` for each photo, in the order given. The result depends only on group names and
        the seed, not on the order of the photos.

    Raises:
        DataError: if a class is left without a training or a validation photo.
    """
    split_sizes = held_out_counts(len(labels), config)
    splits = [TRAIN] * len(labels)
    for label in (0, 1):
        members = [index for index, member_label in enumerate(labels) if member_label == label]
        class_counts = {split: _class_count(total, label, labels) for split, total in split_sizes.items()}
        for index, split in _draw_held_out(members, groups, class_counts, seed=(config.split_seed, label)):
            splits[index] = split
    check_splits(labels, splits)
    return splits


def complete_declared_splits(
    declared: Sequence[str], labels: Sequence[int], groups: Sequence[str], config: DataConfig
) -> list[str]:
    """The splits that the folders declare; if they declare no validation split, it is drawn from the training photos.

    A training photo with a copy in a held-out folder is left out: otherwise a network would be tested on a photo that
    it was trained on. A validation photo with a copy among the test photos is left out for the same reason.

    Args:
        declared: `train`, `validation` or `test` for each photo.
        labels: 0 or 1 for each photo.
        groups: The name of each photo's duplicate group.
        config: Seed and shares.

    Raises:
        DataError: as in `assign_splits`, or if a test share is asked for and the folders declare no test split.
    """
    splits = list(declared)
    if TRAIN not in splits:
        names = " and ".join(sorted(set(splits)))
        message = f"the train split needs photos of both classes, but all usable photos are in folders for {names}"
        hint = "Put the photos to train on into a folder `train` next to these; `dogvscat evaluate` works without it."
        raise DataError(message, hint=hint)
    if config.test_share and TEST not in splits:
        hint = "Put the photos to test on into a folder `test` next to `train`, or set data.test_share to 0."
        message = "the folders declare their own splits, and none of them is a test split"
        raise DataError(f"data.test_share is {config.test_share:g}, but {message}", hint=hint)
    if VALIDATION not in splits:
        pool = [index for index, split in enumerate(splits) if split == TRAIN]
        config = config.model_copy(update={"test_share": 0.0})
        pool_splits = assign_splits([labels[i] for i in pool], [groups[i] for i in pool], config)
        for index, split in zip(pool, pool_splits, strict=True):
            splits[index] = split
    # The test split takes precedence over both others, and validation over training.
    for held_out, lower in ((TEST, (TRAIN, VALIDATION)), (VALIDATION, (TRAIN,))):
        held_out_groups = {group for group, split in zip(groups, splits, strict=True) if split == held_out}
        splits = [
            LEFT_OUT if split in lower and group in held_out_groups else split
            for split, group in zip(splits, groups, strict=True)
        ]
    check_splits(labels, splits)
    return splits


def limit_training(
    splits: Sequence[str], labels: Sequence[int], groups: Sequence[str], config: DataConfig
) -> list[str]:
    """The splits with all but `train_subset` of the training photos left out.

    A larger subset contains every smaller one of the same seed, so that results for several sizes can be compared.

    Args:
        splits: As assigned.
        labels: 0 or 1 for each photo.
        groups: The name of each photo's duplicate group.
        config: Seed and `train_subset`, 0 for all.

    Raises:
        DataError: if there are fewer training photos than that, or if a class has none of those that remain.
    """
    training = [index for index, split in enumerate(splits) if split == TRAIN]
    if not config.train_subset:
        return list(splits)
    if config.train_subset > len(training):
        message = f"data.train_subset asks for {config.train_subset:,} training photos, there are {len(training):,}"
        raise DataError(message, hint="Ask for fewer, or 0 for all.")
    chosen: set[int] = set()
    for label in (0, 1):
        members = sorted((index for index in training if labels[index] == label), key=lambda index: groups[index])
        class_share = len(members) / len(training)
        # Only the positive class is rounded, so that both together are exactly train_subset.
        count = (
            round(config.train_subset * class_share)
            if label
            else config.train_subset - round(config.train_subset * (1 - class_share))
        )
        # One random order per class; a subset is its start, which is why subsets of several sizes nest.
        order = np.random.default_rng((config.split_seed, _SUBSET_STREAM, label)).permutation(len(members))
        chosen.update(members[position] for position in order[:count])
    subset = [LEFT_OUT if split == TRAIN and index not in chosen else split for index, split in enumerate(splits)]
    check_splits(labels, subset)
    return subset


def draw_neither_test_groups(groups: Sequence[str], config: DataConfig) -> set[str]:
    """Which duplicate groups are held out for testing, of photos that show neither class.

    Args:
        groups: The name of each photo's duplicate group.
        config: Seed and `neither_test_share`, the share of the groups; at least one is held out, and not all.

    Raises:
        DataError: if there are fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        hint = "Add photos: a few hundred are useful. `dogvscat audit` shows what is wrong with a photo."
        raise DataError(
            f"at least 2 different photos that show neither class are needed, found {len(names)}", hint=hint
        )
    count = min(max(round(len(names) * config.neither_test_share), 1), len(names) - 1)
    rng = np.random.default_rng((config.split_seed, _NEITHER_STREAM))
    return set(rng.permutation(names)[:count].tolist())


def check_splits(labels: Sequence[int], splits: Sequence[str]) -> None:
    """Make sure that training and validation have photos of both classes.

    Raises:
        DataError: naming the split and the counts.
    """
    for name in (TRAIN, VALIDATION):
        counts = Counter(label for label, split in zip(labels, splits, strict=True) if split == name)
        if min(counts[0], counts[1]) == 0:
            raise DataError(
                f"the {name} split needs photos of both classes, "
                f"it would have {counts[0]} of one, {counts[1]} of the other",
                hint="Add photos, or change data.validation_share and data.test_share.",
            )


def held_out_counts(num_usable: int, config: DataConfig) -> dict[str, int]:
    """The sizes of the test and the validation split where both are drawn; everything else is for training.

    The test share is taken first, and the validation share from what remains. A `train_count` turns this around:
    validation gets everything beyond that many training photos, unless that would be less than half of its share. With
    20,000, the real archive is split into exactly 20,000 and 2,494 photos, and a small collection still by shares.
    """
    test = round(num_usable * config.test_share)
    remaining = num_usable - test
    validation = round(remaining * config.validation_share)
    if config.train_count and remaining - config.train_count >= validation / 2:
        validation = remaining - config.train_count
    return {TEST: test, VALIDATION: max(validation, 2)}  # 2: one of each class


def _class_count(total: int, label: int, labels: Sequence[int]) -> int:
    """How many of `total` held-out photos are of one class: in proportion, and both classes add up to `total`."""
    share_of_positive = sum(labels) / max(len(labels), 1)
    # Only the positive count is rounded; the negative one is what remains. Rounding both could miss the total by one.
    positive = round(total * share_of_positive)
    if total >= 2:
        positive = min(max(positive, 1), total - 1)  # at least one of each class
    return positive if label == 1 else total - positive


def _draw_held_out(
    members: list[int], groups: Sequence[str], counts: dict[str, int], seed: tuple[int, int]
) -> Iterator[tuple[int, str]]:
    """Draw the test and validation photos of one class: whole groups in random order, until each split is full.

    A group goes to the test split if it fits into the room left there, else to validation if it fits there, else to
    training. Most groups are single photos, so the counts are met exactly although larger groups are skipped near the
    end.

    Yields:
        Index and split of each photo that is held out.
    """
    by_group: dict[str, list[int]] = {}
    for index in members:
        by_group.setdefault(groups[index], []).append(index)
    # Sorted before they are shuffled: group names come from contents, so the order of files has no influence.
    names = sorted(by_group)
    order = np.random.default_rng(seed).permutation(len(names))
    room = dict(counts)  # photos still wanted in each split
    for position in order:
        group = by_group[names[position]]
        for split in (TEST, VALIDATION):
            if len(group) <= room[split]:
                room[split] -= len(group)
                yield from ((index, split) for index in group)
                break
