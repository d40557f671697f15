"""Learning rates: constant, one cycle, or reduced on a plateau."""

from dogvscat.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, num_steps: int, reductions: int) -> float:
    """The learning rate of one step.

    Args:
        config: Schedule, largest learning rate, warm-up and factor.
        step: Counted from 0 over all epochs.
        num_steps: Of all epochs together.
        reductions: How often a plateau has reduced the rate so far.

    Returns:
        `one_cycle`: rising linearly over the warm-up, then falling linearly to zero after the last step (Smith and
        Topin, Super-Convergence, 2018). `reduce_on_plateau`: the largest rate times `plateau_factor ** reductions`.
    """
    if config.schedule == "one_cycle":
        warmup = max(1.0, config.warmup_share * num_steps)
        rising = (step + 1) / warmup
        falling = (num_steps - step) / max(1.0, num_steps - warmup)
        return config.learning_rate * min(rising, falling, 1.0)
    if config.schedule == "reduce_on_plateau":
        return config.learning_rate * config.plateau_factor**reductions
    return config.learning_rate
