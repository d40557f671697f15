"""One layer from its words: `conv 48 5x5 stride 2` becomes a `Convolution`. An error names the wrong word."""

import difflib
import re
from collections.abc import Callable
from typing import TypeVar

from dogvscat.network.layers import (
    ACTIVATIONS,
    MOST_FILTERS,
    MOST_UNITS,
    Activation,
    AveragePool,
    BlurPool,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    GlobalMean,
    Layer,
    MaxPool,
    NetworkError,
    Normalization,
    Padding,
    Residual,
    SoftColors,
    SqueezeExcite,
)

USAGES = (
    tuple(
        kind.usage
        for kind in (
            *(Convolution, Normalization, MaxPool, AveragePool, BlurPool, Residual, SqueezeExcite, Dropout),
            *(Flatten, GlobalMean, Dense, SoftColors),
        )
    )
    + ACTIVATIONS
)
"""How each kind is written. Words in brackets may be left out; they show the default."""


def parse_layer(text: str) -> Layer:
    """A layer from its text.

    Raises:
        NetworkError: which word is wrong, and what was expected.
    """
    words = _Words(text)
    layer = _PARSERS[words.kind](words)
    words.refuse_rest(layer.usage)
    return layer


_Text = TypeVar("_Text", bound=str)


class _Words:
    """The words after the kind of one layer, taken away one by one as they are understood."""

    def __init__(self, text: str) -> None:
        self._text, words = text, text.split()
        # `max pool` before `max`: the longest kind that fits.
        candidates = [" ".join(words[:count]) for count in (2, 1)]
        kind = next((candidate for candidate in candidates if candidate in _PARSERS), None)
        if kind is None:
            guesses = [guess for words in candidates for guess in difflib.get_close_matches(words, _PARSERS, 1, 0.6)]
            hint = f"Did you mean {guesses[0]!r}?" if guesses else f"Layers: {', '.join(_PARSERS)}"
            raise NetworkError(f"{self._quoted}: there is no such layer. {hint}")
        self.kind = kind
        self._rest = words[kind.count(" ") + 1 :]

    def number(self, what: str, lowest: int, highest: int, default: int | None = None) -> int:
        """The next word, a whole number; the default if there is none."""
        if not self._rest and default is not None:
            return default
        word = self._rest.pop(0) if self._rest else ""
        return self._within(word, what, lowest, highest)

    def share(self, what: str) -> float:
        """The next word, a number above 0 and below 1."""
        word = self._rest.pop(0) if self._rest else ""
        try:
            share = float(word)
        except ValueError:
            share = -1.0
        if not 0.0 < share < 1.0:
            raise NetworkError(f"{self._quoted}: expected {what} above 0 and below 1, {_received(word)}")
        return share

    def size(self, default: int, lowest: int, highest: int) -> int:
        """The side of a square such as `3x3`, wherever it stands."""
        for word in self._rest:
            if match := re.fullmatch(r"([0-9]{1,3})x([0-9]{1,3})", word):
                self._rest.remove(word)
                if match[1] != match[2]:
                    raise NetworkError(f"{self._quoted}: expected a square such as 3x3, received {word!r}")
                return self._within(match[1], "a side", lowest, highest)
        return default

    def stride(self, default: int, highest: int) -> int:
        """The number after the word `stride`, wherever it stands."""
        if "stride" not in self._rest:
            return default
        at = self._rest.index("stride")
        word = "".join(self._rest[at + 1 : at + 2])
        del self._rest[at : at + 2]
        return self._within(word, "a stride", 1, highest)

    def one_of(self, texts: tuple[_Text, ...], default: _Text) -> _Text:
        """One of several words, wherever it stands; the longest come first."""
        rest = f" {' '.join(self._rest)} "
        for text in texts:
            if f" {text} " in rest:
                self._rest = rest.replace(f" {text} ", " ", 1).split()
                return text
        return default

    def refuse_rest(self, usage: str) -> None:
        """Make sure that every word was understood."""
        if self._rest:
            raise NetworkError(f"{self._quoted}: expected {usage}, and not the word {self._rest[0]!r}")

    @property
    def _quoted(self) -> str:
        return f'"{self._text}"'

    def _within(self, word: str, what: str, lowest: int, highest: int) -> int:
        if not re.fullmatch("[0-9]{1,6}", word) or not lowest <= int(word) <= highest:
            raise NetworkError(f"{self._quoted}: expected {what} from {lowest} to {highest}, {_received(word)}")
        return int(word)


def _convolution(words: _Words) -> Convolution:
    kernel, stride = words.size(3, 1, 11), words.stride(1, 4)
    padding: Padding = "valid" if words.one_of(("valid", "same"), "same") == "valid" else "same"
    return Convolution(words.number("a number of filters", 1, MOST_FILTERS), kernel, stride, padding)


def _max_pool(words: _Words) -> MaxPool:
    size = words.size(2, 2, 8)
    return MaxPool(size, words.stride(size, 8))


def _average_pool(words: _Words) -> AveragePool:
    size = words.size(2, 2, 8)
    return AveragePool(size, words.stride(size, 8))


def _residual(words: _Words) -> Residual:
    kernel, function = words.size(3, 1, 11), words.one_of(ACTIVATIONS, "relu")
    return Residual(kernel, function, bool(words.one_of((SqueezeExcite.kind, ""), "")))


_PARSERS: dict[str, Callable[[_Words], Layer]] = {
    Convolution.kind: _convolution,
    Normalization.kind: lambda words: Normalization(),
    **{function: lambda words, function=function: Activation(function) for function in ACTIVATIONS},  # type: ignore[misc]
    MaxPool.kind: _max_pool,
    AveragePool.kind: _average_pool,
    BlurPool.kind: lambda words: BlurPool(),
    Residual.kind: _residual,
    SqueezeExcite.kind: lambda words: SqueezeExcite(words.number("a reduction", 1, 64, default=8)),
    Dropout.kind: lambda words: Dropout(words.share("a share")),
    Flatten.kind: lambda words: Flatten(),
    GlobalMean.kind: lambda words: GlobalMean(),
    Dense.kind: lambda words: Dense(words.number("a number of units", 1, MOST_UNITS)),
    SoftColors.kind: lambda words: SoftColors(),
}
KINDS = tuple(_PARSERS)
"""Every kind of layer, as its text starts."""


def _received(word: str) -> str:
    return f"received {word!r}" if word else "received nothing"
