"""What a study writes in addition to its table: figures, and a page that says in sentences what helped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.exploring.cell_result import count_validation
from dogvscat.exploring.effects import Effect, PowerLaw, fit_power_law
from dogvscat.exploring.study.cells import CELLS_FOLDER, DivergedCell, Study, cell_title
from dogvscat.exploring.study.figures import draw_curves, draw_effects, draw_gaps, draw_scaling
from dogvscat.exploring.study.plan import BASE, VARIANT, Treatment, treatment_name
from dogvscat.exploring.study.techniques import techniques_of
from dogvscat.exploring.training_job import read_note
from dogvscat.glossary.page import explain_words
from dogvscat.judging import report
from dogvscat.learning.run import Run
from dogvscat.pages import data_uri, open_templates
from dogvscat.settings.keys import setting_meaning
from dogvscat.text import pluralize

_SUBSET = "data.train_subset"
_LONG_NUMBER = re.compile(r"\d+\.\d{5,}(e[-+]?\d+)?")
_VERDICTS = ("helped", "hurt", "no clear effect", "not yet known")


@dataclass(frozen=True)
class ScalingCurve:
    """Accuracy against the number of training photos."""

    accuracies: dict[int, list[float]]
    """By number of photos, ascending: one value per seed."""
    law: PowerLaw | None


def write_study(folder: Path, study: Study) -> Path | None:
    """Write the figures and study.html. A study of which only the base is finished has nothing to show yet.

    Returns:
        The page, or None if there is none.

    Raises:
        ModelError: if environment.json of the first training is missing or damaged.
        WriteError: if the folder cannot be written.
    """
    effects = study.effects()
    if not effects:
        return None
    note = read_note(folder / CELLS_FOLDER / study.finished[0].plan.name)
    num_seeds = len({cell.plan.seed for cell in study.finished})
    base_gap = float(np.mean([cell.outcome.generalization_gap for cell in study.base]))
    curve = scaling_curve(study)

    figures = {name: folder / f"{name}.png" for name in ("effects", "learning_curves", "over_fitting")}
    subtitle = f"up to {pluralize(num_seeds, 'seed')}; 95% intervals, spread pooled over all trainings"
    draw_effects(figures["effects"], effects, subtitle, note)
    draw_curves(figures["learning_curves"], study, note)
    draw_gaps(figures["over_fitting"], effects, base_gap, note)
    if curve is not None:
        figures["training_pictures"] = folder / "training_pictures.png"
        draw_scaling(figures["training_pictures"], curve.accuracies, curve.law, note)

    templates = open_templates(Path(__file__).parent, Path(report.__file__).parent)  # the latter for report.css
    html = templates.get_template("study.html.jinja").render(
        note=note,
        effects=sorted(effects, key=lambda effect: -effect.difference),
        base=[cell.result.validation_accuracy for cell in study.base],
        base_gap=base_gap,
        recipe=study.base[0].plan.config.recipe,
        num_finished=len(study.finished),
        num_planned=len(study.planned),
        headline=_headline(effects),
        resolution=_resolution_in_words(effects),
        sentences=effects_in_sentences(effects, study.diverged),
        origin=_origin_in_words(folder, study),
        techniques=techniques_of(study.treatments),
        meanings={(change.setting, change.value): _meaning(change) for change in study.treatments},
        law=None if curve is None else power_law_in_words(curve),
        images={name: data_uri(path.read_bytes()) for name, path in figures.items()},
        name=treatment_name,
    )
    page = folder / "study.html"
    # File names may hold bytes that are not UTF-8.
    atomic.write_bytes(page, explain_words(html).encode("utf-8", "backslashreplace"))
    return page


def _origin_in_words(folder: Path, study: Study) -> str:
    """On which photos, on which machine and with which version the trainings ran."""
    runs = [Run(folder / CELLS_FOLDER / cell.plan.name) for cell in study.finished]
    environments = [run.load_environment() for run in runs]

    def all_of(key: str) -> str:  # several if the study was resumed elsewhere
        return " and ".join(dict.fromkeys(str(environment.get(key, "unknown")) for environment in environments))

    photos = pluralize(count_validation(runs[0].folder), "validation photo")
    digest = environments[0]["data_digest"][:16]
    return (
        f"Evaluated on {photos} (data digest {digest}); trained on "
        f"{all_of('hardware')}, in {all_of('precision')}, at commit {all_of('commit')}."
    )


def _headline(effects: Sequence[Effect]) -> str:
    """The result in one sentence, for example `1 change helped, 2 hurt, 6 have no clear effect.`"""
    counts = {verdict: sum(effect.verdict == verdict for effect in effects) for verdict in _VERDICTS}
    # Verdicts that no change has are left out.
    (first_verdict, first_count), *others = [(verdict, count) for verdict, count in counts.items() if count]
    start = f"{pluralize(first_count, 'change')} {_verdict_phrase(first_verdict, first_count)}"
    return ", ".join([start, *(f"{count} {_verdict_phrase(verdict, count)}" for verdict, count in others)]) + "."


def _verdict_phrase(verdict: str, count: int) -> str:
    """A verdict as the end of a sentence about that many changes."""
    if verdict in ("helped", "hurt"):
        return verdict
    if verdict == "not yet known":
        return f"{'is' if count == 1 else 'are'} not yet known"
    return f"{'has' if count == 1 else 'have'} no clear effect"


def _resolution_in_words(effects: Sequence[Effect]) -> str | None:
    """How small an effect the study can show; None where it is unknown how much seeds matter."""
    # The interval depends only on the number of seeds, because the spread is pooled.
    surest = max(effects, key=lambda effect: effect.num_seeds)
    if surest.low is None or surest.high is None:
        return None
    half_width = 100 * (surest.high - surest.low) / 2
    return (
        f"Luck: with {pluralize(surest.num_seeds, 'seed')} an interval reaches {half_width:.1f} points to either side, "
        "so smaller effects are mostly missed here. All changes are assumed to vary equally from seed to seed."
    )


def _meaning(treatment: Treatment) -> str:
    """What a change is, for people who do not know the setting: its description, or what a variant consists of."""
    if treatment.setting == VARIANT:
        settings = ", ".join(override.replace("=", " = ", 1) for override in treatment.overrides)
        # A search proposes numbers with 17 digits; people read four of them.
        return _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.4g}", settings)
    return setting_meaning(treatment.setting)


def effects_in_sentences(effects: Sequence[Effect], diverged: Sequence[DivergedCell] = ()) -> dict[str, list[str]]:
    """The results in sentences, by verdict: the largest effect first, and last the trainings without accuracy."""
    sentences: dict[str, list[str]] = {verdict: [] for verdict in (*_VERDICTS, "diverged")}
    for effect in sorted(effects, key=lambda effect: -abs(effect.difference)):
        sentences[effect.verdict].append(_effect_in_words(effect))
    for cell in diverged:
        sentences["diverged"].append(f"{cell_title(cell.plan)}: {cell.reason}; it is not in any figure")
    return {verdict: lines for verdict, lines in sentences.items() if lines}


def _effect_in_words(effect: Effect) -> str:
    name = treatment_name(effect.setting, effect.value)
    points = f"{100 * effect.difference:+.1f} points"
    if effect.low is not None and effect.high is not None:
        interval = f"(95%: {100 * effect.low:+.1f} to {100 * effect.high:+.1f})"
        return f"{name}: {points} {interval}, {pluralize(effect.num_seeds, 'seed')}"
    if effect.num_seeds == 1:
        return f"{name}: {points} with one seed; more seeds would show how much of it is luck"
    equal = f"exactly equal with all {effect.num_seeds} seeds"
    return f"{name}: {points}, {equal}; more seeds or validation photos would show how much of it is luck"


def scaling_curve(study: Study) -> ScalingCurve | None:
    """Accuracy against the number of training photos, if the study tried at least two numbers."""
    by_count: dict[int, list[float]] = {}
    for cell in study.finished:
        # The base itself is a point of the curve, unless it learns from all photos: their number is not a setting then.
        if cell.plan.treatment.setting in (BASE, _SUBSET) and cell.plan.config.data.train_subset:
            by_count.setdefault(cell.plan.config.data.train_subset, []).append(cell.result.validation_accuracy)
    if len(by_count) < 2:
        return None
    accuracies = dict(sorted(by_count.items()))
    return ScalingCurve(accuracies, fit_power_law({count: float(np.mean(each)) for count, each in accuracies.items()}))


def power_law_in_words(curve: ScalingCurve) -> str:
    """What the power law predicts."""
    if curve.law is None and len(curve.accuracies) < 3:
        return "A power law needs at least three different numbers of photos."
    if curve.law is None:
        return "For one of the numbers of photos the error is 0: a power law cannot be fitted to that."
    most = max(curve.accuracies)
    return (
        f"Doubling the number of photos multiplies the error by {2**-curve.law.exponent:.2f}. If that continues, "
        f"{2 * most:,} photos would give about {100 * curve.law.accuracy(2 * most):.1f}%."
    )
