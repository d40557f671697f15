"""Every setting of a training: what it means, its unit, its default. Where settings come from is in settings.py."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A frozen table of settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Which pictures, at which size, and who judges them."""

    image_size: int = Field(64, ge=32, le=512)
    """Side of the square that the network judges, in pixels. Photos are squashed to it, whatever their aspect."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split alone, so that runs with different training seeds are judged on the same pictures."""
    validation_share: float = Field(1 / 9, gt=0.0, lt=0.9)
    """Share of the usable pictures, after the test split, that choose epoch, threshold and temperature."""
    test_share: float = Field(0.0, ge=0.0, lt=0.9)
    """Share of the usable pictures put aside and read once, by `evaluate`; 0 for none."""
    train_count: int = Field(0, ge=0)
    """Training pictures wanted, the rest being validation; 0 means by share. Ignored where the pictures are too few
    to leave validation at least half of its share."""
    train_subset: int = Field(0, ge=0)
    """Learn from so many of the training pictures only, both classes in proportion; 0 for all. A larger subset holds a
    smaller one, and the pictures that judge stay the same: what would more pictures bring?"""
    neither_test_share: float = Field(1 / 3, gt=0.0, lt=1.0)
    """Share of the photos of neither, where there are any, that teach nothing and measure how many are noticed."""


class AugmentationConfig(Section):
    """Random changes to each training picture, drawn from (seed, epoch, sample). Zero or false switches one off."""

    enabled: bool = True
    """Switches all of these changes on or off at once."""
    flip: bool = True
    """Mirror left to right in half of the cases."""
    shift: float = Field(0.1, ge=0.0, le=0.5)
    """Largest shift in each direction, as a share of the side."""
    rotation: float = Field(10.0, ge=0.0, le=180.0)
    """Largest rotation either way, in degrees."""
    zoom: float = Field(0.15, ge=0.0, lt=1.0)
    """Largest relative change of scale, in or out."""
    smallest_crop: float = Field(1.0, gt=0.0, le=1.0)
    """Least share of the picture's area that is cut out and enlarged, drawn between this and 1; 1 cuts nothing
    (Szegedy et al., Going deeper with convolutions, 2015)."""
    brightness: float = Field(0.1, ge=0.0, le=1.0)
    """Largest change of brightness, as a share of full white."""
    contrast: float = Field(0.1, ge=0.0, lt=1.0)
    """Largest relative change of contrast."""
    color_cast: float = Field(0.0, ge=0.0, le=1.0)
    """Largest change of brightness of each colour alone, as a share of full white."""
    saturation: float = Field(0.0, ge=0.0, le=1.0)
    """Largest relative change of how colourful it is: at 1, from grey to twice as colourful."""
    sharpness: float = Field(0.0, ge=0.0, le=2.0)
    """Largest change of sharpness: at 1, from smoothed over three pixels to as much sharper than it is."""
    aspect: float = Field(0.0, ge=0.0, lt=1.0)
    """Largest relative stretch of width against height: 0.25 for up to 5 : 4 either way."""
    cutout: float = Field(0.0, ge=0.0, le=0.75)
    """Side of a grey square hidden at a random place, as a share of the picture's side (DeVries and Taylor 2017)."""

    cutmix: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the pictures that get a piece of another one pasted over them, of any size, and a label mixed by area
    (Yun et al. 2019). For long trainings."""


class NetworkConfig(Section):
    """The network's shape; it can be rebuilt from these allow-listed words and numbers alone."""

    name: Literal["plain", "residual"] = "plain"
    """`plain`: Conv2D + ReLU + MaxPool blocks, Flatten, Dense, Dropout, one logit. `residual`: a stem, then stages of a
    convolution and residual blocks with batch normalisation, mean over the picture, Dropout, one logit."""
    filters: tuple[int, ...] = Field((32, 64, 128), min_length=1, max_length=6)
    """Filters of each block (`plain`) or stage (`residual`), in order."""
    kernel_size: int = Field(3, ge=1, le=7)
    """Side of each convolution kernel, in pixels."""
    dense_units: int = Field(128, ge=1, le=4096)
    """Units of the hidden dense layer of `plain`."""
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the last units before the logit dropped at each training step (Srivastava et al. 2014)."""
    batch_normalization: bool = False
    """Normalise after each convolution, before the ReLU (Ioffe and Szegedy 2015); `residual` does in any case."""
    stem_filters: int = Field(32, ge=1, le=256)
    """Filters of the first convolution of `residual`, which has stride 2."""
    residual_blocks: tuple[int, ...] = Field((1, 1, 1), min_length=1, max_length=6)
    """Residual blocks of each stage of `residual`, of two convolutions each (He et al. 2016)."""
    flip_averaging: bool = False
    """Judge each picture and its mirror image, and average the two logits; twice the work of an answer."""
    soft_colors: bool = False
    """Take colours less sharply than brightness, as most JPEG files store them: what was saved small and what was saved
    large then look alike."""
    neither_output: bool = False
    """A second output, whether the picture shows neither class. Photos of neither (`train --neither`) switch it on."""

    @model_validator(mode="after")
    def _possible(self) -> "NetworkConfig":
        for name, counts, least, most in (
            ("filters", self.filters, 1, 1024),
            ("residual_blocks", self.residual_blocks, 0, 16),
        ):
            if any(not least <= count <= most for count in counts):
                raise ValueError(
                    f"every entry of network.{name} must lie between {least} and {most}, received {list(counts)}"
                )
        if self.name == "residual" and len(self.residual_blocks) != len(self.filters):
            raise ValueError(
                f"network.residual_blocks {list(self.residual_blocks)} and network.filters {list(self.filters)} "
                "must be equally long"
            )
        return self


class TrainingConfig(Section):
    """How the weights are found and when to stop."""

    epochs: int = Field(60, ge=1, le=10_000)
    """Most passes over the training pictures."""
    progressive_resizing: tuple[tuple[int, int], ...] = ()
    """Pairs of (epochs, image_size) to begin with, such as [[10, 64], [8, 96]]; the epochs after them have
    `data.image_size`. Small pictures first cost less and lose little. Only for networks that take any size."""
    batch_size: int = Field(64, ge=1, le=8192)
    """Pictures a step."""
    optimizer: Literal["adam", "sgd", "muon"] = "adam"
    """`adam` (with `weight_decay` it is AdamW); `sgd` with Nesterov momentum 0.9; or `muon`, which takes steps of equal
    length in every direction that a convolution's gradient has, and is `adam` for everything else."""
    learning_rate: float = Field(1e-3, gt=0.0, le=10.0)
    """Largest learning rate."""
    schedule: Literal["constant", "one_cycle", "reduce_on_plateau"] = "reduce_on_plateau"
    """`one_cycle`: linear warm-up, then linear to zero at the last epoch (Smith and Topin 2018).
    `reduce_on_plateau`: multiplied by `plateau_factor` after `plateau_patience` epochs without a better one."""
    warmup_share: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of all steps spent warming up, for `one_cycle`."""
    plateau_patience: int = Field(3, ge=1)
    """Epochs without a better validation loss before the learning rate is reduced."""
    plateau_factor: float = Field(0.5, gt=0.0, lt=1.0)
    """What the learning rate is then multiplied by."""
    l2: float = Field(0.0, ge=0.0, le=1.0)
    """L2 penalty on kernels, added to the loss."""
    weight_decay: float = Field(0.0, ge=0.0, le=1.0)
    """Decoupled weight decay a step, times the learning rate, on kernels only (Loshchilov and Hutter 2019)."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=0.5)
    """Targets become this / 2 and 1 - this / 2 (Szegedy et al. 2016)."""
    neither_share: float = Field(0.125, gt=0.0, le=1.0)
    """Photos of neither added to each step, as a share of `batch_size`; only where there are such photos."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs each class by the inverse of its share of the training pictures."""
    early_stopping_patience: int = Field(8, ge=0)
    """Epochs without a better validation loss before training stops; the best weights are restored. 0: never stop
    early, and keep the last epoch's weights."""
    recalibrated_pictures: int = Field(0, ge=0)
    """Training pictures shown again, unchanged, to measure the means and variances of batch normalisation anew before
    the network is judged; 0: keep those gathered in training."""
    ema_momentum: float = Field(0.0, ge=0.0, lt=1.0)
    """Judge and ship a moving average of the weights: each step keeps this share of the average so far (Polyak and
    Juditsky 1992). 0.998 looks back some 500 steps, at most a ninth of all so far; 0: the weights themselves."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Arithmetic of the layers in training; weights, and the network that is judged and shipped, are float32. `auto`:
    bfloat16 on machines that are faster with it, which is measured when a run starts; `environment.json` says which."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the first weights, the order of pictures, augmentation and dropout."""
    threads: int = Field(0, ge=0, le=256)
    """CPU threads of the network; 0 for all. Results are equal bit for bit only at equal counts."""
    checkpoint_seconds: float = Field(60.0, gt=0.0)
    """Longest time between two checkpoints, in seconds; one is also written after each epoch."""


class Config(Section):
    """All settings of a run."""

    recipe: str = "classic"
    """Name of the recipe these settings started from."""
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _possible_together(self) -> "Config":
        if self.data.validation_share + self.data.test_share >= 1.0:
            raise ValueError("data.validation_share and data.test_share together must stay below 1")
        if self.network.name == "plain":
            self._plain_fits()
        for epochs, image_size in self.training.progressive_resizing:
            if epochs < 1 or not 32 <= image_size <= 512:
                raise ValueError(
                    "training.progressive_resizing expects pairs of epochs (1 or more) and image_size (32 to 512), "
                    f"received {[epochs, image_size]}"
                )
        return self

    def _plain_fits(self) -> None:
        if self.training.progressive_resizing:
            raise ValueError(
                'training.progressive_resizing needs a network that takes any size: network.name = "residual"; '
                'received network.name = "plain", which goes with training.progressive_resizing = [] alone'
            )
        side = self.data.image_size
        for depth, _ in enumerate(self.network.filters, start=1):
            side = (side - self.network.kernel_size + 1) // 2
            if side < 1:
                raise ValueError(
                    f"data.image_size {self.data.image_size} is used up by block {depth} of network.filters "
                    f"{list(self.network.filters)}; use larger pictures or fewer blocks"
                )

    def image_size_at(self, epoch: int) -> int:
        """The side of the training pictures in an epoch, counted from 0, in pixels."""
        for epochs, image_size in self.training.progressive_resizing:
            if epoch < epochs:
                return image_size
            epoch -= epochs
        return self.data.image_size

    @property
    def image_sizes(self) -> list[int]:
        """Every side that pictures are needed at, smallest first."""
        return sorted({self.data.image_size, *(self.image_size_at(epoch) for epoch in range(self.training.epochs))})
