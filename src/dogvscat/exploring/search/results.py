"""What `tune` writes: trials as a table and in figures, the best settings as a recipe, and a study to test them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from dogvscat import atomic
from dogvscat.exploring.search.search import Search, best_config, best_settings, first_rung
from dogvscat.judging.plotting import (
    MUTED,
    TRAIN,
    VALIDATION,
    WRONG,
    add_title,
    label_text,
    new_figure,
    percent_ticks,
    show_message,
)
from dogvscat.settings.toml import to_toml, toml_value
from dogvscat.text import pluralize

CONFIRM_FILE = "confirm.toml"
_NUM_SEEDS = 5
_MIN_TRIALS = 5
"""For fewer trials no importance is computed."""
_TRIALS_PER_SETTING = 10
"""With fewer trials per setting, importances are mostly chance: they add up to 100% even if no setting matters. A rule
of thumb for regressions."""
_TRIALS_PER_BEST = 5
"""One in this number of trials is drawn as one of the best."""


def write_results(folder: Path, study: optuna.Study, search: Search) -> None:
    """Write trials.csv and, once a trial is finished, best.toml, confirm.toml and the figures: history.png,
    importance.png and parallel.png.

    Raises:
        WriteError: if they cannot be written.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    keys = sorted({key for trial in trials for key in trial.params})
    columns = ("trial", "state", "validation_accuracy", "epochs", "seconds", *keys)
    atomic.write_csv(folder / "trials.csv", columns, [_row(trial, keys) for trial in trials])
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = best_config(study, search)
    if best is None:  # without a finished trial there is nothing to draw
        return
    atomic.write_text(folder / "best.toml", to_toml(best))
    atomic.write_text(folder / CONFIRM_FILE, confirmation(study, search))
    note = finished[0].user_attrs.get("note")
    draw_history(folder / "history.png", trials, note)
    draw_parallel(folder / "parallel.png", finished, keys, note)
    compared, subtitle = finished, f"fANOVA over {pluralize(len(finished), 'finished trial')}"
    if any(trial.state == TrialState.PRUNED for trial in trials):
        compared = as_of_epoch(trials, first_rung(search))
        trial_count = pluralize(len(compared), "trial")
        subtitle = f"fANOVA over the accuracies of {trial_count} after {pluralize(first_rung(search), 'epoch')}"
    draw_importance(folder / "importance.png", compared, subtitle, note)


def confirmation(study: optuna.Study, search: Search) -> str:
    """A study, as TOML, of the best settings against those that the search started from, with seeds that the search
    did not use."""
    seeds = [search.seed + number for number in range(1, 1 + _NUM_SEEDS)]
    lines = [
        "# Are the best settings of a search better than those that the search started from? This study compares them,",
        "# with seeds that the search did not use:",
        f"#     dogvscat study PHOTOS --config {CONFIRM_FILE} --out FOLDER",
        f"recipe = {toml_value(search.space.recipe)}",
        f"seeds = {seeds}",
        "",
        "[base]",
        *(f"{toml_value(key)} = {toml_value(value)}" for key, value in search.space.base.items()),
        "",
        f'[variants."the best of the search, trial {study.best_trial.number}"]',
        *(f"{toml_value(key)} = {toml_value(value)}" for key, value in best_settings(study, search).items()),
    ]
    return "\n".join(lines) + "\n"


def as_of_epoch(trials: Sequence[FrozenTrial], epoch: int) -> list[FrozenTrial]:
    """The trials that reached an epoch, with the accuracy that each had then, whether they were pruned later or not.

    Pruning selects: the trials that are not pruned often agree in the settings that matter most, and among such trials
    these settings would seem not to matter.
    """
    return [
        optuna.trial.create_trial(
            value=trial.intermediate_values[epoch], params=trial.params, distributions=trial.distributions
        )
        for trial in trials
        if epoch in trial.intermediate_values  # accuracies by epoch, from 1
    ]


def importances(trials: Sequence[FrozenTrial]) -> dict[str, float] | None:
    """How much of the variance each setting explains, the most important first; None if there are too few trials or all
    have the same result.

    Source: Hutter et al., An efficient approach for assessing hyperparameter importance, ICML 2014 (fANOVA, Optuna's).
    """
    if len(trials) < _MIN_TRIALS or len({trial.value for trial in trials}) < 2:
        return None
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)  # a study in memory: the evaluator takes only a whole study
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def draw_history(path: Path, trials: Sequence[FrozenTrial], note: str | None) -> None:
    """Every trial's accuracy, and the best accuracy up to each trial."""
    with new_figure(path, 7.2, 4.6, note) as figure:
        axes = figure.subplots()
        finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        numbers, values = [trial.number for trial in finished], [trial.value or 0.0 for trial in finished]
        # The line ends half a trial after the last one, whether that was finished or pruned.
        best, last = np.maximum.accumulate(values), max(trial.number for trial in trials)
        axes.step([*numbers, last + 0.5], [*best, best[-1]], where="post", color=WRONG, label="best so far", zorder=1)
        axes.plot(numbers, values, "o", color=VALIDATION, label="finished")
        pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
        if pruned:
            reached = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
            axes.plot(
                [trial.number for trial in pruned], reached, "x", color=MUTED, label="pruned, after its last epoch"
            )
        axes.yaxis.set_major_formatter(percent_ticks())
        axes.set(xlabel="Trial", ylabel="Validation accuracy", xlim=(-0.5, last + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside lower center", ncols=3)
        add_title(axes, "The search, trial by trial", f"{len(finished)} finished, {len(pruned)} pruned")


def draw_importance(path: Path, trials: Sequence[FrozenTrial], subtitle: str, note: str | None) -> None:
    """How much each setting mattered, or why this cannot be said.

    Args:
        path: The file to write.
        trials: Those that are compared.
        subtitle: How many they are, and at which epoch.
        note: Words that must be seen with the figure.
    """
    importance = importances(trials)
    if importance is None:
        with new_figure(path, 7.2, 2.4, note) as figure:
            show_message(figure, "What mattered", why_no_importances(len(trials)))
        return
    with new_figure(path, 7.2, 1.4 + 0.34 * len(importance), note) as figure:
        axes = figure.subplots()
        axes.barh(range(len(importance)), list(importance.values()), color=VALIDATION, height=0.6)
        axes.set_yticks(range(len(importance)), [label_text(key, 50) for key in importance])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(percent_ticks())
        axes.set_xlabel("Share of the variance of validation accuracy")
        add_title(axes, importance_title(len(trials), len(importance)), subtitle)


def importance_title(num_trials: int, num_settings: int) -> str:
    """The title of the importances, with a warning if the trials are too few."""
    needed = _TRIALS_PER_SETTING * num_settings
    return "What mattered" if num_trials >= needed else f"What mattered (mostly chance: fewer than {needed} trials)"


def why_no_importances(num_trials: int) -> str:
    """The sentence in place of the importances."""
    if num_trials >= _MIN_TRIALS:
        return "All trials have the same accuracy."
    return f"{pluralize(num_trials, 'trial')}: too few to say, at least {_MIN_TRIALS} are needed."


def draw_parallel(path: Path, trials: Sequence[FrozenTrial], keys: Sequence[str], note: str | None) -> None:
    """One line per finished trial through its settings, each on its own scale, to its accuracy."""
    num_best = -(-len(trials) // _TRIALS_PER_BEST)  # rounded up
    # The best is drawn last, on top. Among equal trials that is the first one, as in best.toml.
    ranked = sorted(trials, key=lambda trial: (trial.value or 0.0, -trial.number))
    # A scale is Optuna's distribution of a setting: its bounds or choices, and whether it is logarithmic.
    scales = [trials[0].distributions[key] for key in keys]
    accuracies = [trial.value or 0.0 for trial in ranked]
    accuracy_scale = FloatDistribution(accuracies[0], accuracies[-1])
    with new_figure(path, max(7.2, 1.5 * (len(keys) + 1)), 5.4, note) as figure:
        axes: Axes = figure.subplots()
        for rank, trial in enumerate(ranked):
            heights = [_height(trial.params[key], scale) for key, scale in zip(keys, scales, strict=True)]
            is_among_best = rank >= len(ranked) - num_best
            color, width = (VALIDATION, 2.0) if is_among_best else (TRAIN, 1.0)
            heights.append(_height(accuracies[rank], accuracy_scale))
            axes.plot(heights, "o-", color=color, linewidth=width, markersize=4)
        for column, scale in enumerate(scales):
            for height, text in _marks(scale):
                _annotate(axes, column, height, text)
        for accuracy in sorted({accuracies[0], accuracies[-1]}):
            _annotate(axes, len(keys), _height(accuracy, accuracy_scale), f"{100 * accuracy:.1f}%")
        axes.set_xticks(range(len(keys) + 1), [*(key.replace(".", ".\n") for key in keys), "validation\naccuracy"])
        axes.set(yticks=[], xlim=(-0.3, len(keys) + 0.6))
        axes.grid(axis="x", color=MUTED)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", labelsize=8, length=0)
        subtitle = f"{len(trials)} finished trials, the best {num_best} in blue"
        add_title(axes, "Which settings go together", "one finished trial" if len(trials) == 1 else subtitle)


def _height(value: Any, scale: BaseDistribution) -> float:
    """The position of a value on its scale, between 0 (the lower end or first choice) and 1."""
    if isinstance(scale, CategoricalDistribution):
        return scale.choices.index(value) / max(1, len(scale.choices) - 1)
    if not isinstance(scale, FloatDistribution | IntDistribution) or scale.low == scale.high:
        return 0.5  # one trial, or equal ones
    low, high, position = (np.log(number) if scale.log else number for number in (scale.low, scale.high, value))
    return float((position - low) / (high - low))


def _marks(scale: BaseDistribution) -> list[tuple[float, str]]:
    """The heights and texts written next to a scale: all choices, or both ends."""
    if isinstance(scale, CategoricalDistribution):
        return [(_height(choice, scale), str(choice).strip('"')) for choice in scale.choices]
    if isinstance(scale, FloatDistribution | IntDistribution):
        return [(_height(end, scale), f"{end:g}") for end in (scale.low, scale.high)]
    return []


def _annotate(axes: Axes, column: int, height: float, text: str) -> None:
    """Write a text to the right of a point, readable on top of lines."""
    # A white box, half transparent: the texts lie on lines.
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
    axes.annotate(
        label_text(text, 20), (column, height), (6, 0), textcoords="offset points", va="center", fontsize=8, bbox=box
    )


def _row(trial: FrozenTrial, keys: Sequence[str]) -> list[object]:
    """A row of trials.csv. A pruned trial has the accuracy of its last epoch."""
    last = trial.intermediate_values.get(max(trial.intermediate_values, default=0))
    value = trial.value if trial.state == TrialState.COMPLETE else last
    attributes = trial.user_attrs
    results = ["" if value is None else value, attributes.get("epochs", ""), attributes.get("seconds", "")]
    return [trial.number, trial.state.name.lower(), *results, *(trial.params.get(key, "") for key in keys)]
