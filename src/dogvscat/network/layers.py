"""The vocabulary of networks: each kind of layer as data, and the words it is written with.

A layer is written as its kind followed by its settings: `conv 48 5x5 stride 2`, `max pool`, `dropout 0.5`. What is left
out has the usual value, and the text of a layer leaves out the usual values again. text.py reads whole networks.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypeVar

Padding: TypeAlias = Literal["same", "valid"]
"""`same`: zeros around the picture, so that its size is kept (divided by the stride). `valid`: no zeros, so the picture
loses a border of half a kernel."""

Function: TypeAlias = Literal["relu", "leaky relu", "elu", "silu"]
"""max(x, 0); x or x / 10 below zero; x or exp(x) - 1 below zero; x * sigmoid(x)."""

MOST_FILTERS = 1024
MOST_UNITS = 4096

ACTIVATIONS: tuple[Function, ...] = ("leaky relu", "relu", "elu", "silu")


class NetworkError(ValueError):
    """The text of a network cannot be read, or its layers do not fit together. The message is for people.

    Settings turn it into a `ConfigError`.
    """


@dataclass(frozen=True)
class Convolution:
    """A convolution over height and width.

    It has a bias unless a normalization follows, directly or after pooling: that subtracts any bias again.
    """

    kind: ClassVar[str] = "conv"
    label: ClassVar[str] = "conv"
    usage: ClassVar[str] = "conv FILTERS [3x3] [stride 1] [valid]"

    filters: int
    """Number of filters, which is the number of channels of the output: 1 to 1,024."""
    kernel: int = 3
    """Side of the square kernel: 1 to 11."""
    stride: int = 1
    """Step between the positions of the output, in positions of the input: 1 to 4."""
    padding: Padding = "same"

    @property
    def text(self) -> str:
        """As it is written."""
        stride, valid = _unless(1, self.stride, "stride {}"), _unless("same", self.padding, "{}")
        return _join("conv", self.filters, _size(self.kernel, 3), stride, valid)


@dataclass(frozen=True)
class Normalization:
    """Batch normalisation over the last axis, with a learned factor and offset (Ioffe and Szegedy 2015)."""

    kind: ClassVar[str] = "norm"
    label: ClassVar[str] = "norm"
    usage: ClassVar[str] = "norm"

    @property
    def text(self) -> str:
        """As it is written."""
        return self.kind


@dataclass(frozen=True)
class Activation:
    """A function of each value."""

    usage: ClassVar[str] = "relu"

    function: Function

    @property
    def kind(self) -> str:
        """Its function: each is a kind of layer of its own."""
        return self.function

    @property
    def label(self) -> str:
        """As its name starts."""
        return self.function.replace(" ", "_")

    @property
    def text(self) -> str:
        """As it is written."""
        return self.function


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each square of positions, for each channel. A rest at the border is dropped."""

    kind: ClassVar[str] = "max pool"
    label: ClassVar[str] = "pool"
    usage: ClassVar[str] = "max pool [2x2] [stride 2]"

    size: int = 2
    """Side of the square: 2 to 8."""
    stride: int = 2
    """1 to 8; the size, if it is not written."""

    @property
    def text(self) -> str:
        """As it is written."""
        return _join(self.kind, _size(self.size, 2), _unless(self.size, self.stride, "stride {}"))


@dataclass(frozen=True)
class AveragePool:
    """The mean of each square of positions, for each channel. A rest at the border is dropped."""

    kind: ClassVar[str] = "average pool"
    label: ClassVar[str] = "pool"
    usage: ClassVar[str] = "average pool [2x2] [stride 2]"

    size: int = 2
    """Side of the square: 2 to 8."""
    stride: int = 2
    """1 to 8; the size, if it is not written."""

    @property
    def text(self) -> str:
        """As it is written."""
        return _join(self.kind, _size(self.size, 2), _unless(self.size, self.stride, "stride {}"))


@dataclass(frozen=True)
class BlurPool:
    """Half the size after smoothing with 1/4, 1/2, 1/4 in both directions, so that a small shift of the photo changes
    little (Zhang, Making convolutional networks shift-invariant again, 2019)."""

    kind: ClassVar[str] = "blur pool"
    label: ClassVar[str] = "blur"
    usage: ClassVar[str] = "blur pool"

    @property
    def text(self) -> str:
        """As it is written."""
        return self.kind


@dataclass(frozen=True)
class Residual:
    """A residual block: x + two convolutions of x, each normalised, with as many filters as x has channels (He et al.
    2016). The factor of the second normalization is zero at first, so that the block starts as the identity (Goyal et
    al. 2017)."""

    kind: ClassVar[str] = "residual"
    label: ClassVar[str] = "block"
    usage: ClassVar[str] = "residual [3x3] [relu] [squeeze-excite]"

    kernel: int = 3
    """Side of both kernels: 1 to 11."""
    function: Function = "relu"
    """Between the convolutions and after the sum."""
    squeezes: bool = False
    """Whether channels are weighted by squeeze and excitation before the sum."""

    @property
    def text(self) -> str:
        """As it is written."""
        function = _unless("relu", self.function, "{}")
        return _join(self.kind, _size(self.kernel, 3), function, SqueezeExcite.kind if self.squeezes else "")


@dataclass(frozen=True)
class SqueezeExcite:
    """Each channel times a weight between 0 and 1, which two dense layers compute from the means of all channels (Hu et
    al. 2018)."""

    kind: ClassVar[str] = "squeeze-excite"
    label: ClassVar[str] = "squeeze"
    usage: ClassVar[str] = "squeeze-excite [8]"

    reduction: int = 8
    """The first dense layer has this many times fewer units than there are channels: 1 to 64."""

    @property
    def text(self) -> str:
        """As it is written."""
        return _join(self.kind, _unless(8, self.reduction, "{}"))


@dataclass(frozen=True)
class Dropout:
    """Sets a random share of the values to zero at each training step (Srivastava et al. 2014). Predictions skip it."""

    kind: ClassVar[str] = "dropout"
    label: ClassVar[str] = "dropout"
    usage: ClassVar[str] = "dropout SHARE"

    rate: float
    """The share: above 0, below 1."""

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.kind} {self.rate!r}"


@dataclass(frozen=True)
class Flatten:
    """All values of the picture as one list of features, row by row, the channels of a position together."""

    kind: ClassVar[str] = "flatten"
    label: ClassVar[str] = "flatten"
    usage: ClassVar[str] = "flatten"

    @property
    def text(self) -> str:
        """As it is written."""
        return self.kind


@dataclass(frozen=True)
class GlobalMean:
    """The mean of each channel over all positions, as a list of features. A network with it takes pictures of any size.
    (Lin et al., Network in network, 2014)"""

    kind: ClassVar[str] = "global mean"
    label: ClassVar[str] = "mean"
    usage: ClassVar[str] = "global mean"

    @property
    def text(self) -> str:
        """As it is written."""
        return self.kind


@dataclass(frozen=True)
class Dense:
    """A matrix times the features, plus a bias unless a normalization follows."""

    kind: ClassVar[str] = "dense"
    label: ClassVar[str] = "dense"
    usage: ClassVar[str] = "dense UNITS"

    units: int
    """Number of outputs: 1 to 4,096."""

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.kind} {self.units}"


@dataclass(frozen=True)
class SoftColors:
    """Smooths the color, but not the brightness, over three by three pixels; the first layer, if any.

    Most JPEG files store color more coarsely than brightness; smoothed, photos that were saved small and photos that
    were saved large look alike.
    """

    kind: ClassVar[str] = "soft colors"
    label: ClassVar[str] = "soft_colors"
    usage: ClassVar[str] = "soft colors"

    @property
    def text(self) -> str:
        """As it is written."""
        return self.kind


Layer: TypeAlias = (
    Convolution
    | Normalization
    | Activation
    | MaxPool
    | AveragePool
    | BlurPool
    | Residual
    | SqueezeExcite
    | Dropout
    | Flatten
    | GlobalMean
    | Dense
    | SoftColors
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
"""How each kind is written. What stands in brackets may be left out, with the usual value shown."""


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


def _join(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part != "")


def _size(side: int, usual: int) -> str:
    return "" if side == usual else f"{side}x{side}"


def _unless(usual: object, value: object, text: str) -> str:
    return "" if value == usual else text.format(value)
