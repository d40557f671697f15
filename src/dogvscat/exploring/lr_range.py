"""The learning-rate range test: one short training in which the rate rises from step to step until the loss blows up.

Source: Smith, Cyclical learning rates for training neural networks, 2017.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter

from dogvscat import atomic, stderr
from dogvscat.config import Config
from dogvscat.errors import ModelError
from dogvscat.exploring.training_job import open_dataset
from dogvscat.judging.figure_style import MUTED, VALIDATION, WRONG, add_title, drawing
from dogvscat.learning.engine import prepare_backend
from dogvscat.settings import changed

LOWEST, HIGHEST = 1e-6, 1.0
_SMOOTHING = 0.95
_SETTLED = 20
"""Steps after which the smoothed loss is more than the luck of the first batches."""
_BLOWN_UP = 2.0
"""The test ends where the smoothed loss is this many times its least value."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What each rate did to the loss."""

    rates: np.ndarray
    """float64 [steps], rising by a constant factor."""
    losses: np.ndarray
    """float64 [steps], of each step's batch before the step."""
    smoothed: np.ndarray
    """float64 [steps], exponentially, without the bias of the beginning."""
    note: str | None = None
    """What must be seen beside the result, if anything."""

    @property
    def suggestion(self) -> float:
        """A largest rate for the schedule: a third of the one at which the smoothed loss is least, since beyond that it
        no longer falls."""
        settled = min(_SETTLED, len(self.rates) // 2)
        return float(self.rates[settled + int(np.argmin(self.smoothed[settled:]))] / 3.0)

    @property
    def conclusive(self) -> bool:
        """Whether the smoothed loss fell by a tenth at all; else what is suggested is luck."""
        settled = min(_SETTLED, len(self.rates) // 2)
        return bool(self.smoothed[settled:].min() < 0.9 * self.smoothed[settled])


def range_test(photos: Path, config: Config, num_steps: int) -> RangeTest:
    """Train with a rising rate until the loss blows up or the steps are through.

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting but the rate; weights of this test are thrown away.
        num_steps: From LOWEST to HIGHEST.

    Raises:
        DogvscatError: as `train` does.
        ModelError: if the loss is no number from the beginning.
    """
    config = changed(config, ["training.early_stopping_patience=0"])
    dataset = open_dataset(photos, config)
    prepare_backend(config.training.threads)

    from dogvscat.learning.data.batches import BatchLoader
    from dogvscat.learning.loop.training import seed_layers
    from dogvscat.learning.model.networks import build_network
    from dogvscat.learning.model.optimizers import compile_network
    from dogvscat.learning.precision import settled

    settings = settled(config.training)
    size = config.data.image_size if config.network.name == "plain" else None
    model = build_network(config.network, size, l2=settings.l2, seed=settings.seed, precision=settings.precision)
    compile_network(model, settings)
    loader = BatchLoader(dataset.pictures("train"), config)
    rates = np.geomspace(LOWEST, HIGHEST, num_steps)
    losses: list[float] = []
    for step in stderr.track(range(num_steps), "Raising the learning rate", num_steps):
        model.optimizer.learning_rate = rates[step]
        seed_layers(model, settings.seed, 0, step)  # else dropout has other numbers at every call
        model.reset_metrics()
        batch = loader.batch(*divmod(step, loader.steps_per_epoch))
        losses.append(float(model.train_on_batch(*batch, return_dict=True)["loss"]))
        smoothed = smooth(losses)
        if not math.isfinite(losses[-1]) or smoothed[-1] > _BLOWN_UP * smoothed.min():
            break
    finite = int(np.sum(np.isfinite(losses)))
    if finite < 2:
        raise ModelError(
            "the loss is no number from the first steps on", hint="Check the photos with `dogvscat audit`."
        )
    return RangeTest(rates[:finite], np.array(losses[:finite]), smooth(losses[:finite]), dataset.note)


def smooth(losses: Sequence[float]) -> np.ndarray:
    """Exponential mean with the bias towards zero of its beginning taken out (Kingma and Ba 2015): float64 [steps]."""
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smoothed.append(mean / (1 - _SMOOTHING**step))
    return np.array(smoothed)


def write_range_test(folder: Path, test: RangeTest, recipe_rate: float) -> None:
    """Write learning_rates.csv and learning_rates.png.

    Args:
        folder: Where.
        test: What was found.
        recipe_rate: The rate that the settings have now; it is drawn beside the suggestion.

    Raises:
        WriteError: if they cannot be written.
    """
    rows = zip(test.rates.tolist(), test.losses.tolist(), test.smoothed.tolist(), strict=True)
    atomic.write_csv(folder / "learning_rates.csv", ("learning_rate", "loss", "smoothed_loss"), rows)
    with drawing(folder / "learning_rates.png", 7.2, 4.4, test.note) as figure:
        axes = figure.subplots()
        axes.plot(test.rates, test.losses, color=MUTED, linewidth=0.8, alpha=0.5, label="each step")
        axes.plot(test.rates, test.smoothed, color=VALIDATION, label="smoothed")
        axes.axvline(test.suggestion, color=WRONG, linestyle="--", label=f"suggestion: {test.suggestion:.2g}")
        axes.axvline(recipe_rate, color=MUTED, linestyle=":", label=f"now: {recipe_rate:.2g}")
        axes.set(xscale="log", xlabel="Learning rate", ylabel="Training loss")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        top = float(test.smoothed[: max(2, len(test.smoothed) // 4)].max())
        axes.set_ylim(0.9 * float(test.smoothed.min()), 1.3 * top)
        figure.legend(loc="outside lower center", ncols=4)
        add_title(axes, "How far can the learning rate go?", f"{len(test.rates)} steps, the rate rising at each")
