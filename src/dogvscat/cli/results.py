"""The figures of a training or an evaluation on the terminal."""

from collections.abc import Mapping
from typing import Any

from dogvscat.cli.output import show
from dogvscat.labels import NEITHER


def show_figures(metrics: Mapping[str, Any]) -> None:
    """One line a split: accuracy with its interval and n, then precision and recall of each class.

    Args:
        metrics: What metrics.json holds.
    """
    for split, result in metrics.items():
        figures = result["figures"]
        if split == NEITHER:
            noticed = figures["unsure_rate"]
            show(f"{split:<10} answered `unsure`: {_with_interval(noticed)}, n = {noticed['n']:,}")
            continue
        accuracy = figures["accuracy"]
        show(f"{split:<10} accuracy {_with_interval(accuracy)}, n = {result['n']:,}")
        if accuracy["low"] <= figures["majority_baseline"]["value"]:
            show("           no better than always naming the commoner class: of no use yet")
        for name in result["class_names"]:
            precision, recall = figures[f"precision_{name}"]["value"], figures[f"recall_{name}"]["value"]
            show(f"           {name}: precision {_share(precision)}, recall {_share(recall)}")


def _with_interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.2%} (95%: {figure['low']:.2%} to {figure['high']:.2%})"


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2%}"
