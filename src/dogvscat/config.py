"""Every setting of a training: its meaning, unit, range and default. settings.py reads them from files and flags.

The docstring below a setting is its documentation: `dogvscat train --show-settings` prints it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Ranges are checked by pydantic; what depends on several settings is checked by the validators below.


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
    """Number of training photos; all others are validation photos. 0: `validation_share` decides. Also ignored if it
    leaves less than half of the validation photos that `validation_share` gives."""
    train_subset: int = Field(0, ge=0)
    """Train on only this many of the training photos, with the classes in proportion; 0 for all. A larger subset
    contains every smaller one, and validation stays the same. So several sizes show what more photos would bring."""
    neither_test_share: float = Field(1 / 3, gt=0.0, lt=1.0)
    """Share of the `--neither` photos that is held out, to measure how many of them the network recognises."""


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
    """Largest relative change of saturation: at 1, from grey to twice as colorful."""
    sharpness: float = Field(0.0, ge=0.0, le=2.0)
    """Largest change of sharpness: at 1, from smoothed over three pixels to sharpened by the same amount."""
    aspect: float = Field(0.0, ge=0.0, lt=1.0)
    """Largest relative stretch of width against height: 0.25 allows up to 5 : 4 in either direction."""
    cutout: float = Field(0.0, ge=0.0, le=0.75)
    """Side of a grey square that hides a random part of the image, as a share of the image's side (DeVries and Taylor
    2017)."""
    cutmix: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the images over which a piece of another image, of any size, is pasted. Their labels are mixed by area
    (Yun et al. 2019). Helps long trainings."""


class NetworkConfig(Section):
    """The architecture of the network. These settings are enough to build it again."""

    name: Literal["plain", "residual"] = "plain"
    """`plain`: blocks of Conv2D, ReLU and MaxPool, then Flatten, Dense, Dropout and one logit. `residual`: a stem, then
    stages of a convolution and residual blocks with batch normalisation, global average pooling, Dropout and one
    logit."""
    filters: tuple[int, ...] = Field((32, 64, 128), min_length=1, max_length=6)
    """Number of filters of each block (`plain`) or stage (`residual`), in order."""
    kernel_size: int = Field(3, ge=1, le=7)
    """Side of each convolution kernel, in pixels."""
    dense_units: int = Field(128, ge=1, le=4096)
    """Number of units of the hidden dense layer of `plain`."""
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the inputs of the last layer that is dropped at each training step (Srivastava et al. 2014)."""
    batch_normalization: bool = False  # a setting of `plain`
    """Normalise after each convolution, before the ReLU (Ioffe and Szegedy 2015). `residual` always does."""
    stem_filters: int = Field(32, ge=1, le=256)
    """Number of filters of the first convolution of `residual`, which has stride 2."""
    residual_blocks: tuple[int, ...] = Field((1, 1, 1), min_length=1, max_length=6)
    """Number of residual blocks in each stage of `residual`; a block has two convolutions (He et al. 2016)."""
    flip_averaging: bool = False
    """Predict each image and its mirror image, and average the two logits. Doubles the work of a prediction."""
    soft_colors: bool = False
    """Smooth the color, but not the brightness, over three by three pixels. Most JPEG files store color more coarsely
    than brightness. After smoothing, photos look alike whether they were saved at a small or at a large size."""
    neither_output: bool = False
    """A second output: whether the image shows neither class. Training with `--neither` switches it on."""

    @model_validator(mode="after")
    def _check(self) -> "NetworkConfig":
        for name, counts, low, high in (
            ("filters", self.filters, 1, 1024),
            ("residual_blocks", self.residual_blocks, 0, 16),
        ):
            if any(not low <= count <= high for count in counts):
                raise ValueError(
                    f"every entry of network.{name} must lie between {low} and {high}, received {list(counts)}"
                )
        if self.name == "residual" and len(self.residual_blocks) != len(self.filters):
            raise ValueError(
                f"network.residual_blocks {list(self.residual_blocks)} and network.filters {list(self.filters)} "
                "must have the same number of entries"
            )
        return self


class TrainingConfig(Section):
    """How the weights are optimised and when training stops."""

    epochs: int = Field(60, ge=1, le=10_000)
    """Largest number of passes over the training photos."""
    progressive_resizing: tuple[tuple[int, int], ...] = ()
    """Pairs of (epochs, image_size) to start with, such as [[10, 64], [8, 96]]; later epochs use `data.image_size`.
    Small images at the start save time and cost little accuracy. Only for `residual`, which takes any size."""
    batch_size: int = Field(64, ge=1, le=8192)
    """Images per training step."""
    optimizer: Literal["adam", "sgd", "muon"] = "adam"
    """`adam` (with `weight_decay` it is AdamW); `sgd`, with Nesterov momentum 0.9; or `muon`, which orthogonalises the
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
    """Decoupled weight decay per step, times the learning rate, on kernels only (Loshchilov and Hutter 2019)."""
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
    """Number of training photos on which the means and variances of batch normalisation are measured again at the end,
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
        if self.network.name == "plain":
            self._check_plain()
        for epochs, image_size in self.training.progressive_resizing:
            if epochs < 1 or not 32 <= image_size <= 512:
                raise ValueError(
                    "training.progressive_resizing expects pairs of epochs (1 or more) and image_size (32 to 512), "
                    f"received {[epochs, image_size]}"
                )
        return self

    def _check_plain(self) -> None:
        """Refuse a `plain` network whose feature maps would shrink to nothing, or that would need several sizes."""
        if self.training.progressive_resizing:
            raise ValueError(
                'training.progressive_resizing needs a network that takes any size: network.name = "residual"; '
                'received network.name = "plain", which needs training.progressive_resizing = []'
            )
        side = self.data.image_size  # of the maps: each block has a valid convolution and halves the rest
        for depth, _ in enumerate(self.network.filters, start=1):
            side = (side - self.network.kernel_size + 1) // 2
            if side < 1:
                raise ValueError(
                    f"data.image_size {self.data.image_size} is too small: block {depth} of network.filters "
                    f"{list(self.network.filters)} has no pixels left; use larger images or fewer blocks"
                )

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
    "network.dense_units": ("network.name", "plain"),
    "network.batch_normalization": ("network.name", "plain"),
    "network.stem_filters": ("network.name", "residual"),
    "network.residual_blocks": ("network.name", "residual"),
    "training.warmup_share": ("training.schedule", "one_cycle"),
    "training.plateau_patience": ("training.schedule", "reduce_on_plateau"),
    "training.plateau_factor": ("training.schedule", "reduce_on_plateau"),
    **{
        f"augmentation.{name}": ("augmentation.enabled", True)
        for name in AugmentationConfig.model_fields
        if name != "enabled"
    },
}
"""Settings that have an effect only with one value of another setting: that setting and its value."""
