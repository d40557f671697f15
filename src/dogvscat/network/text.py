"""Whole networks from text and back.

A network is a list of entries. An entry is a line of layers with commas between them, or a stage: a name, a colon and
such a line. A number and an `x` repeat a layer, or several in parentheses:

    "conv 32, relu, max pool"
    "stage2: conv 96, max pool, norm, relu, 2 x residual"
    "stage3: 3 x (conv 96, norm, relu), max pool"

The input and the logits at the end are not written: every network has them.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dogvscat.network.layers import Flatten, GlobalMean, Layer, NetworkError, SoftColors
from dogvscat.network.words import parse_layer

MOST_ENTRIES = 50
MOST_LAYERS = 200
_RESERVED = ("pixels", "scaling", "logit", "logits", "neither", "activation")
"""Names of what every network or its ONNX graph has; no stage can have one of them."""


@dataclass(frozen=True)
class Stage:
    """One entry: some layers, with a common name if they are a stage."""

    name: str
    """Empty for layers outside of stages."""
    layers: tuple[Layer, ...]

    @property
    def text(self) -> str:
        """As it is written; equal layers in a row are written once, with their number."""
        runs = [(layer.text, len(list(run))) for layer, run in itertools.groupby(self.layers)]
        line = ", ".join(f"{count} x {text}" if count > 1 else text for text, count in runs)
        return f"{self.name}: {line}" if self.name else line


@dataclass(frozen=True)
class NamedLayer:
    """A layer of a network and where it stands."""

    number: int
    """From 1, in the order of the network."""
    name: str
    """Of its stage and its kind with a number: `stage2.conv1`; outside of a stage `conv1`."""
    stage: str
    """Empty outside of stages."""
    layer: Layer


def parse_network(entries: Sequence[str]) -> tuple[Stage, ...]:
    """A network from its entries.

    Raises:
        NetworkError: which entry, which layer and which word is wrong, and what was expected.
    """
    stages = []
    for number, entry in enumerate(entries, start=1):
        try:
            stages.append(_parse_entry(entry))
        except NetworkError as error:
            raise NetworkError(f"entry {number} of network.layers: {error}") from None
    names = Counter(stage.name for stage in stages if stage.name)
    for name, count in names.items():
        if count > 1:
            raise NetworkError(f"network.layers has {count} stages with the name {name!r}; each needs its own")
    refuse_too_many(stages)
    return tuple(stages)


def refuse_too_many(stages: Iterable[Stage]) -> None:
    """Make sure that a network can be written and read again.

    Raises:
        NetworkError: if it has too many layers or entries.
    """
    counts = [len(stage.layers) for stage in stages if stage.layers]
    for count, most, what in ((sum(counts), MOST_LAYERS, "layers"), (len(counts), MOST_ENTRIES, "entries of layers")):
        if count > most:
            raise NetworkError(f"the network would have {count:,} {what}, and at most {most} are possible")


def format_network(stages: Iterable[Stage]) -> tuple[str, ...]:
    """The entries of a network. Parsed again they give the same network."""
    return tuple(stage.text for stage in stages if stage.layers)


def named_layers(stages: Iterable[Stage]) -> tuple[NamedLayer, ...]:
    """Every layer in order, with its name.

    The name of a layer is its kind with a number: the first convolution of a stage is `conv1`. Layers outside of stages
    are counted over the whole network. What stands only once has no number: `flatten`, `mean`, `soft_colors`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    layers: list[NamedLayer] = []
    for stage in stages:
        for layer in stage.layers:
            counts[stage.name, layer.label] += 1
            is_single = isinstance(layer, Flatten | GlobalMean | SoftColors)
            label = layer.label if is_single else f"{layer.label}{counts[stage.name, layer.label]}"
            name = f"{stage.name}.{label}" if stage.name else label
            layers.append(NamedLayer(len(layers) + 1, name, stage.name, layer))
    return tuple(layers)


def parse_layers(line: str) -> tuple[Layer, ...]:
    """The layers of a line such as `conv 96, norm, 2 x residual`.

    Raises:
        NetworkError: which layer and which word is wrong, and what was expected.
    """
    layers: list[Layer] = []
    for count, text in _items(line):
        inner = text.removeprefix("(").removesuffix(")") if text.startswith("(") else None
        layers += count * ([parse_layer(text)] if inner is None else list(parse_layers(inner)))
        if len(layers) > MOST_LAYERS:
            raise NetworkError(f"more than {MOST_LAYERS} layers")
    return tuple(layers)


def _parse_entry(entry: str) -> Stage:
    name, colon, line = entry.partition(":")
    if not colon:
        return Stage("", parse_layers(entry))
    name = name.strip()
    if not re.fullmatch("[a-z][a-z0-9_]{0,30}", name):
        raise NetworkError(
            "expected a name before the colon: a small letter, and at most 30 more small letters, digits and _, such "
            f"as stage1; received {name!r}"
        )
    if name in _RESERVED:
        raise NetworkError(f"{name!r} is a name that every network uses; give the stage another one, such as stage1")
    return Stage(name, parse_layers(line))


def _items(line: str) -> Iterator[tuple[int, str]]:
    """Each item of a line with its number of repetitions: a layer, or layers in parentheses."""
    for item in re.split(r",(?![^()]*\))", line):  # commas outside of parentheses
        text = " ".join(item.split())
        match = re.fullmatch(r"([0-9]{1,9}) x (.+)", text)
        count, text = (int(match[1]), match[2]) if match else (1, text)
        if not text:
            place = f'between the commas of "{line.strip()}"' if line.strip() else "such as conv 8, received nothing"
            raise NetworkError(f"expected a layer {place}")
        if not 1 <= count <= MOST_LAYERS:
            raise NetworkError(f'"{item.strip()}": expected 1 to {MOST_LAYERS} repetitions, received {count}')
        if not re.fullmatch(r"\([^()]+\)|[^()]+", text):
            raise NetworkError(
                f'"{text}": parentheses can only surround layers, as in "2 x (conv 64, relu)", and cannot be nested'
            )
        yield count, text
