"""Which cell tells most? A study spends its time where the answer is least certain."""

import math
from collections import Counter
from collections.abc import Collection

from dogvscat.exploring.study.cells import Study
from dogvscat.exploring.study.plan import BASE, PlannedCell


def most_telling(study: Study, under_way: Collection[PlannedCell] = ()) -> list[PlannedCell]:
    """The unfinished cells, that which tells most first: every treatment once before any twice, then the treatment
    whose effect is least certain, in half widths of its interval from zero; one that diverged is last. The base with
    the same seed always goes before.

    Cells under way count as begun, and as if they came out as expected: their treatment's interval will be narrower by
    the square root of the seeds it then has; of a treatment that is tried for the first time nothing is expected.
    """
    begun = Counter(cell.treatment for cell in under_way)
    names = {cell.name for cell in under_way}
    left = [cell for cell in study.left if cell.name not in names]
    bases = {cell.seed: cell for cell in left if cell.treatment.setting == BASE}
    treated = [cell for cell in left if cell.treatment.setting != BASE]
    diverged = {done.cell.treatment for done in study.diverged}
    effects = {(effect.setting, effect.value): effect for effect in study.effects()}

    def certainty(cell: PlannedCell) -> tuple[int, float]:
        effect = effects.get((cell.treatment.setting, cell.treatment.value))
        if cell.treatment in diverged:
            return (2, 0.0)
        if effect is None:
            return (1, math.inf) if begun[cell.treatment] or study.of(cell.treatment) else (0, 0.0)
        half = (effect.high - effect.low) / 2 if effect.low is not None and effect.high is not None else 0.0
        narrower = math.sqrt(1 + begun[cell.treatment] / effect.num_seeds)
        return (1, abs(effect.difference) / half * narrower if half else 0.0)

    chosen = (bases.get(cell.seed, cell) for cell in sorted(treated, key=certainty))
    return list(dict.fromkeys([*chosen, *bases.values()]))
