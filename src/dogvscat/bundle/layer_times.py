"""How long each operation of a bundle's network takes, from the profile of ONNX Runtime."""

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from dogvscat.bundle.folder import Bundle
from dogvscat.network.operations import Operation

_RUNS = 20
_WARM_UP = 3
_ENOUGH = 0.7
"""Nodes that have the name of an operation must take at least this share of the time together. In graphs of other
programs, nodes have other names."""


def measure_operations(bundle: Bundle, operations: Sequence[Operation]) -> dict[str, float] | None:
    """The seconds of each operation for one image, by its name. The time of an operation that is fused with a
    convolution counts for the convolution.

    Args:
        bundle: Its graph has nodes named after the operations.
        operations: Of its network.

    Returns:
        None if the names of the graph are not those of the operations.
    """
    size = bundle.card.image_size
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # so that the times add up
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = os.path.join(folder, "profile")  # noqa: PTH118 - ONNX Runtime wants a string
        session = onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
        only_logit = onnxruntime.RunOptions()
        only_logit.only_execute_path_to_fetches = True
        pixels = np.zeros((1, size, size, 3), dtype=np.uint8)
        for _ in range(_WARM_UP + _RUNS):
            session.run(["logit"], {"pixels": pixels}, only_logit)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return seconds_by_operation(events, operations)


def seconds_by_operation(events: Iterable[dict[str, Any]], operations: Sequence[Operation]) -> dict[str, float] | None:
    """Median seconds of each operation, from the events of a profile.

    Args:
        events: As ONNX Runtime writes them; those of nodes have `cat` "Node" and a name that ends in `_kernel_time`.
        operations: In their order.
    """
    durations: dict[tuple[str, str], list[float]] = {}
    for event in events:
        node = str(event.get("name", "")).removesuffix("_kernel_time")
        if event.get("cat") == "Node" and node != event.get("name"):
            kind = str(event.get("args", {}).get("op_name", ""))
            durations.setdefault((node, kind), []).append(event["dur"] / 1e6)
    seconds = dict.fromkeys((operation.name for operation in operations), 0.0)
    unknown = 0.0
    for (node, kind), times in durations.items():
        name = _operation_of(node, kind, operations)
        if name is None:
            unknown += float(np.median(times))
        else:
            seconds[name] += float(np.median(times))
    known = sum(seconds.values())
    return seconds if known and known >= _ENOUGH * (known + unknown) else None


def _operation_of(node: str, kind: str, operations: Sequence[Operation]) -> str | None:
    """The name of the operation that a node computes, or of the convolution among several."""
    # ONNX Runtime renames nodes, but an old name stays part of the new one; the longest is meant, since
    # stage1.block1.conv1 also contains stage1.
    places = [place for place, operation in enumerate(operations) if operation.name in node]
    if not places:
        return None
    place = max(places, key=lambda place: len(operations[place].name))
    if "Conv" in kind:  # a convolution with what follows is one node, named after the last of them
        earlier = operations[: place + 1]
        return next(
            (operation.name for operation in reversed(earlier) if operation.kind in ("conv", "brightness")), None
        )
    return operations[place].name
