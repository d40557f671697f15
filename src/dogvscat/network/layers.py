"""The vocabulary of networks: each kind of layer as data, and the words it is written with.

A layer is written as its kind followed by its settings: `conv 48 5x5 stride 2`, `max pool`, `dropout 0.5`. What is left
out has the usual value, and the text of a layer leaves out the usual values again. words.py reads one layer, text.py a
whole network.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

Padding: TypeAlias = Literal["same", "valid"]
"""`same`: zeros around the picture, so that its size is kept (divided by the stride). `valid`: no zeros, so the picture
loses a border of half a kernel."""

Function: TypeAlias = Literal["relu", "leaky relu", "elu", "silu"]
"""In this order: max(x, 0); x, but x / 10 below zero; x, but exp(x) - 1 below zero; x * sigmoid(x)."""

MOST_FILTERS = 1024
MOST_UNITS = 4096

ACTIVATIONS: tuple[Function, ...] = ("leaky relu", "relu", "elu", "silu")


class NetworkError(ValueError):
    """The text of a network cannot be read, or its layers do not fit together. The message is for people.

    Settings turn it into a `ConfigError`.
    """


@dataclass(frozen=True)
class _WithoutSettings:
    """A layer that is written only as its kind."""

    kind: ClassVar[str]

    @property
    def text(self) -> str:
        """As it is written."""
        return self.kind


@dataclass(frozen=True)
class _Pool:
    """One value for each square of positions. A remainder at the border is dropped."""

    kind: ClassVar[str]
    label: ClassVar[str] = "pool"

    size: int = 2
    """Side of the square: 2 to 8."""
    stride: int = 2
    """1 to 8; the size, if it is not written."""

    @property
    def text(self) -> str:
        """As it is written."""
        return _join(self.kind, _size(self.size, 2), _unless(self.size, self.stride, "stride {}"))


@dataclass(frozen=True)
class Convolution:
    """A convolution over height and width.

    It has a bias unless a normalization follows, directly or after pooling: the normalization would subtract any bias.
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
class Normalization(_WithoutSettings):
    """Batch normalization over the last axis, with a learned factor and offset (Ioffe and Szegedy 2015)."""

    kind: ClassVar[str] = "norm"
    label: ClassVar[str] = "norm"
    usage: ClassVar[str] = "norm"


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
        """The start of its name."""
        return self.function.replace(" ", "_")

    @property
    def text(self) -> str:
        """As it is written."""
        return self.function


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest value of each square of positions, for each channel. A remainder at the border is dropped."""

    kind: ClassVar[str] = "max pool"
    usage: ClassVar[str] = "max pool [2x2] [stride 2]"


@dataclass(frozen=True)
class AveragePool(_Pool):
    """The mean of each square of positions, for each channel. A remainder at the border is dropped."""

    kind: ClassVar[str] = "average pool"
    usage: ClassVar[str] = "average pool [2x2] [stride 2]"


@dataclass(frozen=True)
class BlurPool(_WithoutSettings):
    """Half the size after smoothing with 1/4, 1/2, 1/4 in both directions, so that a small shift of the photo changes
    little (Zhang, Making convolutional networks shift-invariant again, 2019)."""

    kind: ClassVar[str] = "blur pool"
    label: ClassVar[str] = "blur"
    usage: ClassVar[str] = "blur pool"


@dataclass(frozen=True)
class Residual:
    """A residual block: x + two convolutions of x, each normalized, with as many filters as x has channels (He et al.
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
    """Number of channels divided by the number of units of the first dense layer: 1 to 64."""

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
class Flatten(_WithoutSettings):
    """All values of the picture as one list of features, row by row, the channels of a position together."""

    kind: ClassVar[str] = "flatten"
    label: ClassVar[str] = "flatten"
    usage: ClassVar[str] = "flatten"


@dataclass(frozen=True)
class GlobalMean(_WithoutSettings):
    """The mean of each channel over all positions, as a list of features. A network with it takes pictures of any size.
    (Lin et al., Network in network, 2014)"""

    kind: ClassVar[str] = "global mean"
    label: ClassVar[str] = "mean"
    usage: ClassVar[str] = "global mean"


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
class SoftColors(_WithoutSettings):
    """Smooths the color, but not the brightness, over three by three pixels. It can only be the first layer.

    Most JPEG files store color more coarsely than brightness. After smoothing, the color is equally coarse in photos
    that were saved small and in photos that were saved large.
    """

    kind: ClassVar[str] = "soft colors"
    label: ClassVar[str] = "soft_colors"
    usage: ClassVar[str] = "soft colors"


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


def _join(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part != "")


def _size(side: int, usual: int) -> str:
    return "" if side == usual else f"{side}x{side}"


def _unless(usual: object, value: object, text: str) -> str:
    return "" if value == usual else text.format(value)
