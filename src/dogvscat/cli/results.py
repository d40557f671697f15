"""Prints the metrics of a training or an evaluation."""

from collections.abc import Mapping
from typing import Any

from dogvscat.cli.output import show
from dogvscat.labels import NEITHER


def show_figures(metrics: Mapping[str, Any]) -> None:
    """Print the accuracy of each split with its interval and n, then precision and recall of each class.

    Args:
        metrics: The content of metrics.json.
    """
    for split, result in metrics.items():
        figures = result["figures"]
        if split == NEITHER:  # photos that show neither class have no accuracy: `unsure` is the correct answer
            unsure_rate = figures["unsure_rate"]
            show(f"{split:<10} answered `unsure`: {_with_interval(unsure_rate)}, n = {unsure_rate['n']:,}")
            continue
        accuracy = figures["accuracy"]
        show(f"{split:<10} accuracy {_with_interval(accuracy)}, n = {result['n']:,}")
        if accuracy["low"] <= figures["majority_baseline"]["value"]:  # the interval includes the baseline
            show("           not better than always naming the majority class: useless so far")
        for name in result["class_names"]:
            precision, recall = figures[f"precision_{name}"]["value"], figures[f"recall_{name}"]["value"]
            show(
                f"           {name}: precision {_percent_or_undefined(precision)}, "
                f"recall {_percent_or_undefined(recall)}"
            )


def _with_interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.2%} (95%: {figure['low']:.2%} to {figure['high']:.2%})"


def _percent_or_undefined(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2%}"
