"""Which cell is most informative? A study spends its time where the answer is least certain."""

import math
from collections import Counter
from collections.abc import Collection

from dogvscat.exploring.study.cells import Study
from dogvscat.exploring.study.plan import BASE, PlannedCell


def most_informative(study: Study, running: Collection[PlannedCell] = ()) -> list[PlannedCell]:
    """The cells to start next, the most informative first.

    Every treatment is trained once before any is trained twice. Then comes the treatment whose effect is least certain:
    the one with the smallest effect, as a multiple of half the width of its interval. A treatment that diverged is
    last. The base with the same seed is always trained first.

    Running cells count as finished, and as if they confirmed the effect: the interval of their treatment is taken to
    narrow with the square root of its number of seeds. Nothing is expected of a treatment that runs for the first time.

    Args:
        study: With what is finished so far.
        running: Cells that were started and have not ended.
    """
    num_running = Counter(cell.treatment for cell in running)
    running_names = {cell.name for cell in running}
    waiting = [cell for cell in study.remaining if cell.name not in running_names]
    bases = {cell.seed: cell for cell in waiting if cell.treatment.setting == BASE}
    treated = [cell for cell in waiting if cell.treatment.setting != BASE]
    diverged = {cell.plan.treatment for cell in study.diverged}
    effects = {(effect.setting, effect.value): effect for effect in study.effects()}

    def certainty(cell: PlannedCell) -> tuple[int, float]:
        """The class (0 never tried, 1 tried, 2 diverged), then the distance from zero in half widths."""
        if cell.treatment in diverged:
            return (2, 0.0)
        effect = effects.get((cell.treatment.setting, cell.treatment.value))
        if effect is None:  # no seed in common with the base yet
            is_tried = num_running[cell.treatment] or study.finished_with(cell.treatment)
            return (1, math.inf) if is_tried else (0, 0.0)
        if effect.low is None or effect.high is None or effect.high == effect.low:
            return (1, 0.0)
        half_width = (effect.high - effect.low) / 2
        narrowing = math.sqrt(1 + num_running[cell.treatment] / effect.num_seeds)
        return (1, abs(effect.difference) / half_width * narrowing)

    # sorted() is stable: cells of equal certainty keep the order of the plan.
    chosen = (bases.get(cell.seed, cell) for cell in sorted(treated, key=certainty))
    return list(dict.fromkeys([*chosen, *bases.values()]))
