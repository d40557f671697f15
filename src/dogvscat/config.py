"""Every setting of a training: its meaning, unit, range and default. settings/ reads them from files and flags.

The docstring below a setting is its documentation: `dogvscat train --show-settings` prints it.
"""

from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dogvscat.network.changes import apply_changes, with_dropout, with_width
from dogvscat.network.expansion import expand
from dogvscat.network.layers import Dropout, NetworkError
from dogvscat.network.operations import Operation, takes_any_size
from dogvscat.network.text import MOST_ENTRIES, Stage, format_network, parse_network, refuse_too_many

# Ranges are checked by pydantic; what depends on several settings is checked by the validators below.


# A description is asked for in many places, and takes milliseconds to read.
_stages = lru_cache(maxsize=64)(parse_network)
_operations = lru_cache(maxsize=64)(expand)

NETWORK_ERROR = "network_text"
"""Pydantic's type of an error in the text of layers or changes."""


class Section(BaseModel):
    """A table of settings. It cannot be changed, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Which photos, at which size, and how they are split."""

    image_size: int = Field(64, ge=32, le=512)
    """Side of the square images that the network sees, in pixels. Photos of any aspect ratio are squashed to it."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split only, so that runs with different training seeds are evaluated on the same photos."""
    validation_share: float = Field(1 / 9, gt=0.0, lt=0.9)
    """Share of the usable photos, after the test split is taken away, that become the validation split. This split
    selects epoch, temperature and bias."""
    test_share: float = Field(0.0, ge=0.0, lt=0.9)
    """Share of the usable photos that is held out for `evaluate`; 0 for none."""
    train_count: int = Field(0, ge=0)
    """Number of training photos; all others are validation photos. `validation_share` decides instead if this is 0, or
    if too few validation photos would remain: fewer than half of those that `validation_share` gives."""
    train_subset: int = Field(0, ge=0)
    """Train on only this many of the training photos, with the classes in proportion; 0 for all. A larger subset
    contains every smaller one, and validation stays the same. So several sizes show what more photos would bring."""
    neither_test_share: float = Field(1 / 3, gt=0.0, lt=1.0)
    """Share of the `--neither` photos that is held out, to measure how many of them the network recognizes."""


class AugmentationConfig(Section):
    """Random changes to each training image, drawn from (seed, epoch, image). Zero or false switches a change off."""

    enabled: bool = True
    """Switches all of these changes on or off together."""
    flip: bool = True
    """Mirror an image left to right with probability 1/2."""
    shift: float = Field(0.1, ge=0.0, le=0.5)
    """Largest shift in each direction, as a share of the side of the image."""
    rotation: float = Field(10.0, ge=0.0, le=180.0)
    """Largest rotation in either direction, in degrees."""
    zoom: float = Field(0.15, ge=0.0, lt=1.0)
    """Largest relative change of scale, in or out."""
    smallest_crop: float = Field(1.0, gt=0.0, le=1.0)
    """A random part of the image is cut out and enlarged; this is the smallest part, as a share of the area. 1: no
    cropping (Szegedy et al., Going deeper with convolutions, 2015)."""
    brightness: float = Field(0.1, ge=0.0, le=1.0)
    """Largest change of brightness, as a share of full white."""
    contrast: float = Field(0.1, ge=0.0, lt=1.0)
    """Largest relative change of contrast."""
    color_cast: float = Field(0.0, ge=0.0, le=1.0)
    """Largest change of brightness of each color channel separately, as a share of full white."""
    saturation: float = Field(0.0, ge=0.0, le=1.0)
    """Largest relative change of saturation: at 1, from gray to twice as colorful."""
    sharpness: float = Field(0.0, ge=0.0, le=2.0)
    """Largest change of sharpness: at 1, from smoothed over three pixels to sharpened by the same amount."""
    aspect: float = Field(0.0, ge=0.0, lt=1.0)
    """Largest relative stretch of width against height: 0.25 allows up to 5 : 4 in either direction."""
    cutout: float = Field(0.0, ge=0.0, le=0.75)
    """Side of a gray square that hides a random part of the image, as a share of the image's side (DeVries and Taylor
    2017)."""
    cutmix: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the images over which a piece of another image, of any size, is pasted. Their labels are mixed by area
    (Yun et al. 2019). Helps long trainings."""


class NetworkConfig(Section):
    """The architecture of the network. These settings are enough to build it again."""

    layers: tuple[str, ...] = Field(
        (
            "stage1: conv 32 valid, relu, max pool",
            "stage2: conv 64 valid, relu, max pool",
            "stage3: conv 128 valid, relu, max pool",
            "flatten, dense 128, relu, dropout 0.5",
        ),
        min_length=1,
        max_length=MOST_ENTRIES,
    )
    """The layers in order, from the image to the features that the logit is computed from. The scaling of the pixels
    and the layer of the logit are always added and never written. An entry is a line of layers, or a stage with a name:
    `"stage2: conv 64, norm, relu, 2 x residual"`. docs/network.md lists the layers."""
    initializer: Literal["glorot", "he"] = "glorot"
    """How the first weights are drawn. `glorot`: uniformly, scaled by the numbers of inputs and outputs of the layer
    (Glorot and Bengio 2010). `he`: from a normal distribution, scaled by the number of inputs only, which suits deeper
    networks with relu (He et al. 2015)."""
    flip_averaging: bool = False
    """Predict each image and its mirror image, and average the two logits. Doubles the work of a prediction."""
    neither_output: bool = False
    """A second output: whether the image shows neither class. Training with `--neither` switches it on."""

    # The settings below change the layers when they are read; then only the layers remain, so a fact has one place.
    width: float | None = Field(None, gt=0.0, lt=16.0, exclude=True)
    """Changes the layers: multiplies the filters and units of each by this factor, and rounds them to multiples of 8
    (below 16, to whole numbers)."""
    changes: tuple[str, ...] = Field((), max_length=50, exclude=True)
    """Changes to the layers, each a short sentence: `["without stage3", "5x5 instead of 3x3", "norm after each conv"]`.
    The changes of a recipe, a file and flags are made one after another. docs/network.md lists the sentences."""
    dropout: float | None = Field(None, ge=0.0, lt=1.0, exclude=True)
    """Changes the layers: the rate of each dropout layer. If there is none, one is added at the end; 0 removes all."""

    @field_validator("layers", "changes", mode="before")
    @classmethod
    def _list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _change_layers(self) -> "NetworkConfig":
        try:
            stages = _stages(self.layers)
            stages = stages if self.width is None else with_width(stages, self.width)
            stages = apply_changes(stages, self.changes)
            stages = stages if self.dropout is None else with_dropout(stages, self.dropout)
            refuse_too_many(stages)
        except NetworkError as error:
            raise PydanticCustomError(NETWORK_ERROR, "{message}", {"message": str(error)}) from None
        # This object is frozen, but not finished yet.
        self.__dict__.update(layers=format_network(stages), width=None, changes=(), dropout=None)
        return self

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The layers as data."""
        return _stages(self.layers)

    @property
    def takes_any_size(self) -> bool:
        """Whether the network has the same weights for images of every size."""
        return takes_any_size(self.stages)

    @property
    def dropout_rate(self) -> float:
        """The largest share of a dropout layer; 0 without any."""
        return max(
            (layer.rate for stage in self.stages for layer in stage.layers if isinstance(layer, Dropout)), default=0.0
        )

    def operations(self, image_size: int) -> tuple[Operation, ...]:
        """What the network computes, for images of this side.

        Raises:
            NetworkError: if the layers do not fit together at this size.
        """
        return _operations(self.stages, image_size, 2 if self.neither_output else 1)


class TrainingConfig(Section):
    """How the weights are optimized and when training stops."""

    epochs: int = Field(60, ge=1, le=10_000)
    """Largest number of passes over the training photos."""
    progressive_resizing: tuple[tuple[int, int], ...] = ()
    """Pairs of (epochs, image_size) to start with, such as [[10, 64], [8, 96]]; later epochs use `data.image_size`.
    Small images at the start save time and cost little accuracy. Not with a `flatten` layer, which fixes the size."""
    batch_size: int = Field(64, ge=1, le=8192)
    """Images per training step."""
    optimizer: Literal["adam", "sgd", "muon"] = "adam"
    """`adam` (with `weight_decay` it is AdamW); `sgd`, with Nesterov momentum 0.9; or `muon`, which orthogonalizes the
    update of each convolution, so that the steps in all its directions are equally long. Other weights use `adam`."""
    learning_rate: float = Field(1e-3, gt=0.0, le=10.0)
    """Largest learning rate."""
    schedule: Literal["constant", "one_cycle", "reduce_on_plateau"] = "reduce_on_plateau"
    """`one_cycle`: linear warm-up, then linear decay to zero at the last epoch (Smith and Topin 2018).
    `reduce_on_plateau`: multiplied by `plateau_factor` after `plateau_patience` epochs without improvement."""
    warmup_share: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of all steps that are warm-up, for `one_cycle`."""
    plateau_patience: int = Field(3, ge=1)
    """Epochs without a better validation loss before the learning rate is reduced."""
    plateau_factor: float = Field(0.5, gt=0.0, lt=1.0)
    """Factor by which the learning rate is multiplied after `plateau_patience` epochs without improvement."""
    l2: float = Field(0.0, ge=0.0, le=1.0)
    """Weight of the L2 penalty on kernels, which is added to the loss."""
    weight_decay: float = Field(0.0, ge=0.0, le=1.0)
    """Decoupled: each step reduces the kernels by this share times the learning rate (Loshchilov and Hutter 2019)."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=0.5)
    """Targets 0 and 1 become s / 2 and 1 - s / 2, where s is this value (Szegedy et al. 2016)."""
    neither_share: float = Field(0.125, gt=0.0, le=1.0)
    """Number of photos that show neither class in each step, as a share of `batch_size`; only with `--neither`."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weights each class by the inverse of its share of the training photos."""
    early_stopping_patience: int = Field(8, ge=0)
    """Epochs without a better validation loss before training stops; the best weights are then restored. 0: never stop
    early, and keep the weights of the last epoch."""
    recalibrated_pictures: int = Field(0, ge=0)
    """Number of training photos on which the means and variances of batch normalization are measured again at the end,
    without augmentation. 0: keep the means and variances from training."""
    ema_momentum: float = Field(0.0, ge=0.0, lt=1.0)
    """Evaluate and export an exponential moving average of the weights: each step keeps this share of the average so
    far (Polyak and Juditsky 1992). 0.998 averages over about 500 steps, but at most over a ninth of the steps so far.
    0: no average."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Arithmetic of the layers during training. The weights, and the network that is evaluated and exported, are always
    float32. `auto`: bfloat16 on machines where it is faster, which is measured when a run starts; `environment.json`
    has the result."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the initial weights, the order of the photos, augmentation and dropout."""
    threads: int = Field(0, ge=0, le=256)
    """CPU threads of the network; 0 for one per CPU that the process may use. Results are equal bit for bit only with
    equal numbers of threads."""
    checkpoint_seconds: float = Field(60.0, gt=0.0)
    """Longest time between two checkpoints, in seconds. One is also written after each epoch."""


class Config(Section):
    """All settings of a run."""

    recipe: str = "classic"
    """Name of the recipe that these settings are based on."""
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _check_together(self) -> "Config":
        if self.data.validation_share + self.data.test_share >= 1.0:
            raise ValueError(
                "data.validation_share and data.test_share together must stay below 1, received "
                f"{self.data.validation_share:g} and {self.data.test_share:g}"
            )
        for epochs, image_size in self.training.progressive_resizing:
            if epochs < 1 or not 32 <= image_size <= 512:
                raise ValueError(
                    "training.progressive_resizing expects pairs of epochs (1 or more) and image_size (32 to 512), "
                    f"received {[epochs, image_size]}"
                )
        if self.training.progressive_resizing and not self.network.takes_any_size:
            raise ValueError(
                'training.progressive_resizing needs a network that takes any size: "global mean" in place of '
                '"flatten" in network.layers; received "flatten", which needs training.progressive_resizing = []'
            )
        for image_size in {min(self.image_sizes), max(self.image_sizes)}:
            try:
                self.network.operations(image_size)
            except NetworkError as error:
                raise ValueError(f"network.layers: {error}") from None
        return self

    def image_size_at(self, epoch: int) -> int:
        """The side of the training images in an epoch, which is counted from 0, in pixels."""
        for epochs, image_size in self.training.progressive_resizing:
            if epoch < epochs:
                return image_size
            epoch -= epochs  # now counted from the first epoch of the next size
        return self.data.image_size

    @property
    def image_sizes(self) -> list[int]:
        """Every image size of the training, smallest first: photos are decoded at each of them."""
        return sorted({self.data.image_size, *(self.image_size_at(epoch) for epoch in range(self.training.epochs))})


NEEDS: dict[str, tuple[str, Any]] = {
    "training.warmup_share": ("training.schedule", "one_cycle"),
    "training.plateau_patience": ("training.schedule", "reduce_on_plateau"),
    "training.plateau_factor": ("training.schedule", "reduce_on_plateau"),
    **{
        f"augmentation.{name}": ("augmentation.enabled", True)
        for name in AugmentationConfig.model_fields
        if name != "enabled"
    },
}
"""Settings that have an effect only if another setting has a certain value, each with that setting and value."""

LAYER_CHANGES = frozenset(f"network.{name}" for name, field in NetworkConfig.model_fields.items() if field.exclude)
"""Settings without a value of their own: they change the layers when they are read."""

REPLACED: dict[str, str] = {
    "network.name": 'network.layers describes the network: ["conv 32, relu, max pool", ...]',
    "network.filters": '"conv 64" in network.layers, or network.width=0.5 to change all of them',
    "network.kernel_size": '"conv 64 5x5" in network.layers, or network.changes="5x5 instead of 3x3"',
    "network.dense_units": '"dense 64" in network.layers, or network.changes="dense 64 instead of dense"',
    "network.batch_normalization": '"norm" in network.layers, or network.changes="norm after each conv"',
    "network.stem_filters": '"stem: conv 48 stride 2" in network.layers',
    "network.residual_blocks": '"residual" in network.layers, or network.changes="without residual"',
    "network.soft_colors": '"soft colors" in network.layers, or network.changes="soft colors first"',
}
"""Settings of earlier versions, each with what to write now."""
