"""Changes to a network. Each is a short sentence, so one line in a command, a study or a search varies the network.

| change                              | what it does                                                              |
|-------------------------------------|---------------------------------------------------------------------------|
| `without stage3`                    | removes a stage, a layer by its name, or every layer of a kind            |
| `norm after each conv`              | adds layers after (or `before`) each such layer, or a layer by its name   |
| `dropout 0.2 before flatten`        |                                                                           |
| `soft colors first`                 | adds layers at the start, or with `last` at the end                       |
| `average pool instead of max pool`  | replaces each such layer, a layer by its name, or a stage                 |
| `5x5 instead of 3x3`                | changes each 3x3 kernel to 5x5, also inside of residual blocks            |
| `dropout 0.3`                       | sets the rate of each dropout; adds one at the end if there is none       |
| `width 0.5`                         | half the filters and units in every layer, in multiples of 8              |
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from dogvscat.network.layers import (
    MOST_FILTERS,
    MOST_UNITS,
    Activation,
    Convolution,
    Dense,
    Dropout,
    Layer,
    NetworkError,
    Residual,
)
from dogvscat.network.text import Stage, named_layers, parse_layers, refuse_too_many
from dogvscat.network.words import KINDS, parse_layer

Stages = tuple[Stage, ...]

Edits = dict[int, tuple[Layer, ...]]
"""The layers that replace a layer, by its number."""

_EXAMPLES = (
    "without stage3, norm after each conv, soft colors first, average pool instead of max pool, 5x5 instead of 3x3, "
    "dropout 0.3, width 0.5"
)


def apply_changes(stages: Stages, changes: Iterable[str]) -> Stages:
    """The network after some changes, each made to the result of the one before.

    Raises:
        NetworkError: which change cannot be read, finds nothing to change, or adds too many layers.
    """
    for change in changes:
        try:
            stages = _apply(stages, " ".join(change.split()))
            refuse_too_many(stages)
        except NetworkError as error:
            raise NetworkError(f'the change "{change}" of the network: {error}') from None
    return tuple(stage for stage in stages if stage.layers)


def with_dropout(stages: Stages, rate: float) -> Stages:
    """The network with this rate in each dropout layer. If it has none, one is added at the end; 0 removes all."""
    dropouts = [named.number for named in named_layers(stages) if isinstance(named.layer, Dropout)]
    if rate and not dropouts:
        return (*stages, Stage("", (Dropout(rate),)))
    return _edit(stages, dict.fromkeys(dropouts, (Dropout(rate),) if rate else ()))


def with_width(stages: Stages, factor: float) -> Stages:
    """The network with all numbers of filters and units multiplied by a factor: rounded to multiples of 8, or to whole
    numbers below 16."""
    edits: Edits = {}
    for named in named_layers(stages):
        match named.layer:
            case Convolution(filters):
                edits[named.number] = (replace(named.layer, filters=_scaled(filters, factor, MOST_FILTERS)),)
            case Dense(units):
                edits[named.number] = (Dense(_scaled(units, factor, MOST_UNITS)),)
    return _edit(stages, edits)


def _apply(stages: Stages, change: str) -> Stages:
    if match := re.fullmatch("without (?:the |every |each )?(.+)", change):
        return _edit(stages, {number: () for group in _find(stages, match[1]) for number in group})
    if match := re.fullmatch("(.+) instead of (.+)", change):
        return _replace(stages, match[1], match[2])
    if match := re.fullmatch("(.+) (after|before) (?:the |every |each )?(.+)", change):
        return _insert(stages, parse_layers(match[1]), match[2] == "after", match[3])
    if match := re.fullmatch("(.+) (first|last)", change):
        added = (Stage("", parse_layers(match[1])),)
        return (*added, *stages) if match[2] == "first" else (*stages, *added)
    if match := re.fullmatch(r"dropout ([0-9.]+)", change):
        return with_dropout(stages, _number(match[1], 0.0, 1.0))
    if match := re.fullmatch(r"width ([0-9.]+)", change):
        return with_width(stages, _number(match[1], 0.01, 16.0))
    raise NetworkError(f"expected a change such as: {_EXAMPLES}")


def _replace(stages: Stages, new: str, old: str) -> Stages:
    sides = [re.fullmatch(r"([0-9]{1,2})x\1", text) for text in (new, old)]
    if sides[0] and sides[1]:
        return _with_kernel(stages, int(sides[0][1]), int(sides[1][1]))
    layers, existing = parse_layers(new), named_layers(stages)
    edits: Edits = {}
    for named in existing:  # the functions inside of residual blocks too
        if isinstance(named.layer, Residual) and named.layer.function == old and isinstance(layers[0], Activation):
            edits[named.number] = (replace(named.layer, function=layers[0].function),)
    if not edits or any(named.layer.kind == old for named in existing):
        for first, *others in _find(stages, old):
            edits |= {first: layers} | dict.fromkeys(others, ())
    return _edit(stages, edits)


def _with_kernel(stages: Stages, new: int, old: int) -> Stages:
    edits: Edits = {}
    for named in named_layers(stages):
        if isinstance(named.layer, Convolution | Residual) and named.layer.kernel == old:
            edits[named.number] = (parse_layer(replace(named.layer, kernel=new).text),)  # checks the new side
    if not edits:
        raise NetworkError(f"no layer of the network has kernels of {old}x{old}")
    return _edit(stages, edits)


def _insert(stages: Stages, layers: tuple[Layer, ...], is_after: bool, reference: str) -> Stages:
    existing = [named.layer for named in named_layers(stages)]
    edits: Edits = {}
    for group in _find(stages, reference):
        number = group[-1] if is_after else group[0]
        layer = existing[number - 1]
        edits[number] = (layer, *layers) if is_after else (*layers, layer)
    return _edit(stages, edits)


def _find(stages: Stages, text: str) -> list[tuple[int, ...]]:
    """The numbers of the layers that a text means: the layers of a stage, one layer by its name, every layer of a kind,
    or every layer that is written like this. The layers of a stage are one group, others are a group each.
    """
    layers = named_layers(stages)
    if stage := tuple(named.number for named in layers if named.stage == text):
        return [stage]
    matches = [named for named in layers if text in (named.name, named.layer.kind)]
    if not matches and any(text.startswith(f"{kind} ") for kind in KINDS):
        matches = [named for named in layers if named.layer == parse_layer(text)]
    if not matches:
        names = dict.fromkeys(named.stage or named.name for named in layers)
        raise NetworkError(f"the network has no {text!r}; it has {', '.join(names)}")
    return [(named.number,) for named in matches]


def _edit(stages: Stages, edits: Edits) -> Stages:
    """The network with some layers, by number, each replaced by others or by none."""
    named = iter(named_layers(stages))
    return tuple(
        Stage(stage.name, tuple(new for layer in stage.layers for new in edits.get(next(named).number, (layer,))))
        for stage in stages
    )


def _scaled(count: int, factor: float, most: int) -> int:
    scaled = count * factor
    rounded = 8 * int(scaled / 8 + 0.5) if scaled >= 16 else int(scaled + 0.5)
    return min(most, max(1, rounded))


def _number(text: str, lowest: float, below: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not lowest <= number < below:
        raise NetworkError(f"expected a number of at least {lowest:g} and below {below:g}, received {text!r}")
    return number
