"""The learning-rate range test: one short training in which the rate rises at each step until the loss blows up.

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
from dogvscat.exploring.plan_files import refuse_neither_output
from dogvscat.exploring.training_job import open_dataset, report_layout
from dogvscat.judging.plotting import MUTED, VALIDATION, WRONG, add_title, new_figure
from dogvscat.learning.engine import open_engine
from dogvscat.stderr import Reporter

LOWEST, HIGHEST = 1e-6, 1.0
_SMOOTHING = 0.95
_WARM_UP_STEPS = 20
"""After this number of steps the smoothed loss is more than the luck of the first batches."""
_BLOWN_UP = 2.0
"""The test ends when the smoothed loss is this many times its lowest value."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The loss at each learning rate."""

    rates: np.ndarray
    """float64 (num_steps,), rising by a constant factor."""
    losses: np.ndarray
    """float64 (num_steps,), the loss of each step's batch, before the step."""
    smoothed: np.ndarray
    """float64 (num_steps,), the losses as `smooth` returns them."""
    note: str | None = None
    """The note to show with the result, if the images are synthetic."""

    @property
    def suggestion(self) -> float:
        """A peak rate for the schedule: a third of the rate at which the smoothed loss is lowest.

        At the lowest point itself the loss no longer falls, so the best rate lies clearly before it.
        """
        warm_up = self._num_warm_up()
        return float(self.rates[warm_up + int(np.argmin(self.smoothed[warm_up:]))] / 3.0)

    @property
    def conclusive(self) -> bool:
        """Whether the smoothed loss fell by a tenth at all; otherwise the suggestion is luck."""
        warm_up = self._num_warm_up()
        return bool(self.smoothed[warm_up:].min() < 0.9 * self.smoothed[warm_up])

    def _num_warm_up(self) -> int:
        return min(_WARM_UP_STEPS, len(self.rates) // 2)


def range_test(photos: Path, config: Config, num_steps: int, report: Reporter) -> RangeTest:
    """Train with a rising rate until the loss blows up or all steps are done.

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting but the rate. The weights of this test are thrown away.
        num_steps: Number of steps in which the rate rises from LOWEST to HIGHEST.
        report: Gets a sentence for each folder that was not read in the usual way.

    Raises:
        DogvscatError: as `train` does.
        ConfigError: if `network.neither_output` is set.
        ModelError: if the loss is not a finite number from the first steps on.
    """
    refuse_neither_output(config)
    report_layout(photos, config, report)
    dataset = open_dataset(photos, config)
    compute = open_engine(config.training.threads, config.training.precision)

    from dogvscat.learning.loop.training import build_model_and_batches, seed_layers

    model, loader = build_model_and_batches(config, dataset, compute)
    rates = np.geomspace(LOWEST, HIGHEST, num_steps)
    losses: list[float] = []
    for step in stderr.track(range(num_steps), "Raising the learning rate", num_steps):
        model.optimizer.learning_rate = rates[step]
        seed_layers(model, config.training.seed, 0, step)  # otherwise dropout would differ from call to call
        model.reset_metrics()  # the loss of this batch, not the mean since the start
        batch = loader.batch(*divmod(step, loader.steps_per_epoch))
        losses.append(float(model.train_on_batch(*batch, return_dict=True)["loss"]))
        smoothed = smooth(losses)
        if not math.isfinite(losses[-1]) or smoothed[-1] > _BLOWN_UP * smoothed.min():
            break
    num_finite = int(np.sum(np.isfinite(losses)))  # only the last loss may not be finite
    if num_finite < 2:
        hint = "Check the photos with `dogvscat audit`."
        raise ModelError("the loss is not a finite number from the first steps on", hint=hint)
    return RangeTest(rates[:num_finite], np.array(losses[:num_finite]), smooth(losses[:num_finite]), dataset.note)


def smooth(losses: Sequence[float]) -> np.ndarray:
    """Exponential moving average of the losses: float64 (num_steps,).

    The average starts at zero, which would pull its first values down. Dividing by the sum of the weights so far
    corrects that (Kingma and Ba, Adam, 2015, section 3).
    """
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smoothed.append(mean / (1 - _SMOOTHING**step))
    return np.array(smoothed)


def write_range_test(folder: Path, test: RangeTest, current_rate: float) -> None:
    """Write learning_rates.csv and learning_rates.png.

    Args:
        folder: Where to write them.
        test: The result.
        current_rate: The rate that the settings have now; it is drawn as well as the suggestion.

    Raises:
        WriteError: if they cannot be written.
    """
    rows = zip(test.rates.tolist(), test.losses.tolist(), test.smoothed.tolist(), strict=True)
    atomic.write_csv(folder / "learning_rates.csv", ("learning_rate", "loss", "smoothed_loss"), rows)
    with new_figure(folder / "learning_rates.png", 7.2, 4.4, test.note) as figure:
        axes = figure.subplots()
        axes.plot(test.rates, test.losses, color=MUTED, linewidth=0.8, alpha=0.5, label="each step")
        axes.plot(test.rates, test.smoothed, color=VALIDATION, label="smoothed")
        axes.axvline(test.suggestion, color=WRONG, linestyle="--", label=f"suggestion: {test.suggestion:.2g}")
        axes.axvline(current_rate, color=MUTED, linestyle=":", label=f"now: {current_rate:.2g}")
        axes.set(xscale="log", xlabel="Learning rate", ylabel="Training loss")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        # Cut off at the top: the loss blows up there, and would squeeze the part that matters into a flat line.
        top = float(test.smoothed[: max(2, len(test.smoothed) // 4)].max())
        axes.set_ylim(0.9 * float(test.smoothed.min()), 1.3 * top)
        figure.legend(loc="outside lower center", ncols=4)
        add_title(axes, "How large may the learning rate be?", f"{len(test.rates)} steps; the rate rises at each")
