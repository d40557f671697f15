"""What `tune` writes: every trial as a table, three pictures, and the best settings as a recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from dogvscat import writing
from dogvscat.config import Config
from dogvscat.judging.figure_style import MUTED, TRAIN, VALIDATION, WRONG, add_title, drawing, label_text
from dogvscat.judging.figures import percent_ticks
from dogvscat.settings import to_toml

_LEAST_FOR_IMPORTANCE = 5


def write_results(folder: Path, study: optuna.Study, best: Config | None) -> None:
    """Write trials.csv, and once a trial is finished best.toml, history.png, importance.png and parallel.png.

    Raises:
        WriteError: if they cannot be written.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    keys = sorted({key for trial in trials for key in trial.params})
    columns = ("trial", "state", "validation_accuracy", "epochs", "seconds", *keys)
    writing.write_csv(folder / "trials.csv", columns, [_row(trial, keys) for trial in trials])
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if best is None or not finished:
        return
    writing.write_text(folder / "best.toml", to_toml(best))
    draw_history(folder / "history.png", trials)
    draw_parallel(folder / "parallel.png", finished, keys)
    if (importance := importances(study)) is not None:
        draw_importance(folder / "importance.png", importance, len(finished))


def importances(study: optuna.Study) -> dict[str, float] | None:
    """How much of the variance each setting explains, most first; None for too few or all equal trials.

    Source: Hutter et al., An efficient approach for assessing hyperparameter importance, ICML 2014 (fANOVA, Optuna's).
    """
    values = [trial.value for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])]
    if len(values) < _LEAST_FOR_IMPORTANCE or len(set(values)) < 2:
        return None
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def draw_history(path: Path, trials: Sequence[FrozenTrial]) -> None:
    """Every trial's accuracy, and the best so far."""
    with drawing(path, 7.2, 4.4) as figure:
        axes = figure.subplots()
        finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        numbers, values = [trial.number for trial in finished], [trial.value or 0.0 for trial in finished]
        axes.plot(numbers, values, "o", color=VALIDATION, label="finished")
        cut = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
        last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in cut]
        axes.plot([trial.number for trial in cut], last, "x", color=MUTED, label="cut short")
        axes.step(numbers, np.maximum.accumulate(values), where="post", color=WRONG, label="best so far")
        axes.yaxis.set_major_formatter(percent_ticks())
        axes.set(xlabel="Trial", ylabel="Validation accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="lower right")
        add_title(axes, "The search, trial by trial", f"{len(finished)} finished, {len(cut)} cut short")


def draw_importance(path: Path, importance: dict[str, float], num_trials: int) -> None:
    """How much each setting mattered."""
    with drawing(path, 7.2, 1.4 + 0.34 * len(importance)) as figure:
        axes = figure.subplots()
        axes.barh(range(len(importance)), list(importance.values()), color=VALIDATION, height=0.6)
        axes.set_yticks(range(len(importance)), [label_text(key, 50) for key in importance])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(percent_ticks())
        axes.set_xlabel("Share of the variance of validation accuracy")
        add_title(axes, "What mattered", f"fANOVA over {num_trials} finished trials")


def draw_parallel(path: Path, trials: Sequence[FrozenTrial], keys: Sequence[str]) -> None:
    """A line a finished trial through all its settings; the better, the darker."""
    with drawing(path, max(7.2, 1.5 * (len(keys) + 1)), 5.4) as figure:
        axes: Axes = figure.subplots()
        columns = [_positions([trial.params.get(key) for trial in trials]) for key in keys]
        ranks = _positions([trial.value or 0.0 for trial in trials])  # worst 0, best 1, equal ones alike
        lines = np.stack([*columns, ranks], axis=1)  # (trials, keys + 1)
        for line, rank in sorted(zip(lines, ranks, strict=True), key=lambda pair: pair[1]):
            axes.plot(line, color=VALIDATION if rank > 0.8 else TRAIN, alpha=0.9, linewidth=1 + rank)
        axes.set_xticks(range(len(keys) + 1), [label_text(key, 24).replace(".", "\n") for key in [*keys, "accuracy"]])
        axes.set_yticks([0, 1], ["low", "high"])
        axes.tick_params(axis="x", labelsize=8)
        add_title(axes, "Which settings go together", f"the best fifth of {len(trials)} trials in blue")


def _positions(values: Sequence[Any]) -> np.ndarray:
    """Where values lie between the least and the largest, by order: float64 [N] in 0..1."""
    ordered = sorted(set(values), key=lambda value: (str(type(value)), value))
    return np.array([ordered.index(value) / max(1, len(ordered) - 1) for value in values])


def _row(trial: FrozenTrial, keys: Sequence[str]) -> list[object]:
    last = trial.intermediate_values.get(max(trial.intermediate_values, default=0))
    value = trial.value if trial.state == TrialState.COMPLETE else last
    attributes = trial.user_attrs
    shown = ["" if value is None else value, attributes.get("epochs", ""), attributes.get("seconds", "")]
    return [trial.number, trial.state.name.lower(), *shown, *(trial.params.get(key, "") for key in keys)]
