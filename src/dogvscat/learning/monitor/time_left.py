"""How long will the rest of a training take? Estimated from the epochs that are finished and the one under way."""

from collections.abc import Mapping, Sequence

from dogvscat.config import Config


def seconds_left(
    config: Config, history: Sequence[Mapping[str, float]], epoch_seconds: float, epoch_share: float
) -> float | None:
    """Expected seconds until the last epoch is finished, if the training does not stop early.

    Args:
        config: For the number of epochs and the image size of each.
        history: The finished epochs.
        epoch_seconds: Time spent on the epoch under way.
        epoch_share: The part of its steps that is finished, 0..1.

    Returns:
        None before the first step.
    """
    # Convolutions cost in proportion to the area, and `progressive_resizing` changes it from epoch to epoch.
    areas = [config.image_size_at(epoch) ** 2 for epoch in range(config.training.epochs)]
    seconds_by_area = {area: row["seconds"] for area, row in zip(areas, history, strict=False)}  # the last such epoch
    remaining = areas[len(history) :]
    if remaining and epoch_share:
        seconds_by_area.setdefault(remaining[0], epoch_seconds / epoch_share)
    if not seconds_by_area:
        return None
    last_area, last_seconds = list(seconds_by_area.items())[-1]
    expected = (seconds_by_area.get(area, last_seconds * area / last_area) for area in remaining)
    return max(0.0, sum(expected) - epoch_seconds)
