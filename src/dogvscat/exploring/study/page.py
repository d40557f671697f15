"""What a study writes beside its table: pictures, and a page that says in words what helped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.exploring.study.cells import CELLS_FOLDER, DivergedCell, Study, in_words
from dogvscat.exploring.study.effects import Effect, PowerLaw, fit_power_law
from dogvscat.exploring.study.figures import draw_curves, draw_forest, draw_gaps, draw_pictures
from dogvscat.exploring.study.plan import BASE, VARIANT, Treatment, treatment_name
from dogvscat.exploring.training_job import note_of
from dogvscat.judging import report
from dogvscat.judging.predictions import read_predictions
from dogvscat.learning.run.folder import Run
from dogvscat.pages import data_uri, open_templates
from dogvscat.settings import explained
from dogvscat.text import counted

SUBSET = "data.train_subset"
_LONG_NUMBER = re.compile(r"\d+\.\d{5,}(e[-+]?\d+)?")
_VERDICTS = ("helped", "hurt", "no clear effect", "not yet known")


@dataclass(frozen=True)
class PicturesCurve:
    """Accuracy against the number of training pictures."""

    accuracies: dict[int, list[float]]
    """A value a seed."""
    law: PowerLaw | None


def write_study(folder: Path, study: Study) -> Path | None:
    """Write the pictures and study.html; a study of which only the base is finished has nothing to show yet.

    Returns:
        The page, or None if there is none.

    Raises:
        WriteError: if the folder cannot be written.
    """
    effects = study.effects()
    if not effects:
        return None
    note = note_of(folder / CELLS_FOLDER / study.finished[0].cell.name)
    pictures = {name: folder / f"{name}.png" for name in ("effects", "learning_curves", "over_fitting")}
    seeds = len({cell.cell.seed for cell in study.finished})
    draw_forest(
        pictures["effects"],
        effects,
        f"{counted(seeds, 'seed')} at most; 95% intervals, spread pooled over all trainings",
        note,
    )
    draw_curves(pictures["learning_curves"], study, note)
    draw_gaps(pictures["over_fitting"], effects, _base_gap(study), note)
    if (curve := pictures_curve(study)) is not None:
        pictures["training_pictures"] = folder / "training_pictures.png"
        draw_pictures(pictures["training_pictures"], curve.accuracies, curve.law, note)
    templates = open_templates(Path(__file__).parent, Path(report.__file__).parent)  # the latter for report.css
    page = templates.get_template("study.html.jinja").render(
        note=note,
        effects=sorted(effects, key=lambda effect: -effect.difference),
        base=[cell.result.validation_accuracy for cell in study.base],
        base_gap=_base_gap(study),
        recipe=study.base[0].cell.config.recipe,
        num_finished=len(study.finished),
        num_planned=len(study.planned),
        headline=_headline(effects),
        resolution=_resolution(effects),
        sentences=in_sentences(effects, study.diverged),
        origin=_origin(folder, study),
        meanings={(change.setting, change.value): _meaning(change) for change in study.treatments},
        law=None if curve is None else law_in_words(curve),
        images={name: data_uri(path.read_bytes()) for name, path in pictures.items()},
        name=treatment_name,
    )
    written = folder / "study.html"
    atomic.write_bytes(written, page.encode("utf-8", "backslashreplace"))
    return written


def _origin(folder: Path, study: Study) -> str:
    """On what, where and with which version the trainings ran."""
    runs = [Run(folder / CELLS_FOLDER / done.cell.name) for done in study.finished]
    environments = [run.load_environment() for run in runs]

    def all_of(key: str) -> str:  # several where the study went on elsewhere
        return " and ".join(dict.fromkeys(str(environment.get(key, "unknown")) for environment in environments))

    judged = len(read_predictions(runs[0].predictions_file)["validation"].y_true)
    digest = environments[0]["data_digest"][:16]
    return (
        f"Judged on {counted(judged, 'validation picture')} (data digest {digest}); trained on "
        f"{all_of('hardware')}, in {all_of('precision')}, at commit {all_of('commit')}."
    )


def _headline(effects: Sequence[Effect]) -> str:
    """What was found in one sentence, for example `1 change helped, 2 hurt, 6 have no clear effect.`"""
    counts = {verdict: sum(effect.verdict == verdict for effect in effects) for verdict in _VERDICTS}
    (first, number), *others = [(verdict, count) for verdict, count in counts.items() if count]
    tried = f"{number} {'change' if number == 1 else 'changes'} {_found(first, number)}"
    return ", ".join([tried, *(f"{count} {_found(verdict, count)}" for verdict, count in others)]) + "."


def _resolution(effects: Sequence[Effect]) -> str | None:
    """How small an effect the study can show; None where nothing tells how much seeds matter."""
    surest = max(effects, key=lambda effect: effect.num_seeds)
    if surest.low is None or surest.high is None:
        return None
    half, seeds = 100 * (surest.high - surest.low) / 2, surest.num_seeds
    return (
        f"Luck: with {counted(seeds, 'seed')} an interval reaches {half:.1f} points to either side, so that "
        "smaller effects are mostly missed here. Changes are taken to vary alike from seed to seed."
    )


def _found(verdict: str, count: int) -> str:
    if verdict in ("helped", "hurt"):
        return verdict
    if verdict == "not yet known":
        return f"{'is' if count == 1 else 'are'} not yet known"
    return f"{'has' if count == 1 else 'have'} no clear effect"


def _meaning(treatment: Treatment) -> str:
    """What a change is, for people who do not know the setting: its description, or what a variant consists of."""
    if treatment.setting == VARIANT:
        settings = ", ".join(override.replace("=", " = ", 1) for override in treatment.overrides)
        return _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.4g}", settings)  # as a search proposes them
    return explained(treatment.setting)


def in_sentences(effects: Sequence[Effect], diverged: Sequence[DivergedCell] = ()) -> dict[str, list[str]]:
    """What was found in words, by verdict; the largest effect first, and last what has no accuracy."""
    found: dict[str, list[str]] = {verdict: [] for verdict in (*_VERDICTS, "diverged")}
    for effect in sorted(effects, key=lambda effect: -abs(effect.difference)):
        found[effect.verdict].append(_sentence(effect))
    for done in diverged:
        found["diverged"].append(f"{in_words(done.cell)}: {done.reason}; it is in no figure")
    return {verdict: sentences for verdict, sentences in found.items() if sentences}


def pictures_curve(study: Study) -> PicturesCurve | None:
    """Accuracy against training pictures, if the study tried at least two numbers of them."""
    found: dict[int, list[float]] = {}
    for cell in study.finished:
        if cell.cell.treatment.setting in (BASE, SUBSET) and cell.cell.config.data.train_subset:
            found.setdefault(cell.cell.config.data.train_subset, []).append(cell.result.validation_accuracy)
    if len(found) < 2:
        return None
    ordered = dict(sorted(found.items()))
    return PicturesCurve(ordered, fit_power_law({count: float(np.mean(values)) for count, values in ordered.items()}))


def law_in_words(curve: PicturesCurve) -> str:
    """What the power law foretells."""
    if curve.law is None and len(curve.accuracies) < 3:
        return "With three or more numbers of pictures, a power law could be fitted."
    if curve.law is None:
        return "One number of pictures left no mistakes at all: a power law cannot be fitted to that."
    most = max(curve.accuracies)
    return (
        f"Twice as many pictures multiply the error by {2**-curve.law.exponent:.2f}. If that goes on, {2 * most:,} "
        f"pictures would give about {100 * curve.law.accuracy(2 * most):.1f}%."
    )


def _base_gap(study: Study) -> float:
    return float(np.mean([cell.result.training_accuracy - cell.result.validation_accuracy for cell in study.base]))


def _sentence(effect: Effect) -> str:
    name = treatment_name(effect.setting, effect.value)
    points = f"{100 * effect.difference:+.1f} points"
    if effect.low is None or effect.high is None:
        if effect.num_seeds == 1:
            return f"{name}: {points} with one seed; more seeds would tell how much of it is luck"
        alike = f"the same with all {effect.num_seeds} seeds, to the picture"
        return f"{name}: {points}, {alike}; more seeds or validation pictures would tell how much of it is luck"
    between = f"{points} (95%: {100 * effect.low:+.1f} to {100 * effect.high:+.1f})"
    return f"{name}: {between}, {effect.num_seeds} {'seed' if effect.num_seeds == 1 else 'seeds'}"
