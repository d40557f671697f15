"""A training set up from a run folder: the same loader, network and loop for `train` and for every fold of an audit."""

import keras

from dogvscat.config import Config
from dogvscat.learning.data.batches import BatchLoader, balanced_class_weights
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.loop.training import Training
from dogvscat.learning.model.networks import build_network
from dogvscat.learning.model.optimizers import compile_network
from dogvscat.learning.precision import settled
from dogvscat.learning.run.folder import Run
from dogvscat.stderr import Reporter


def forget_networks() -> None:
    """Free the memory of networks built earlier in this process; without it a long row of trainings fills it up."""
    keras.utils.clear_session()


def prepare_training(run: Run, config: Config, dataset: Dataset, report: Reporter, more_to_come: int = 0) -> Training:
    """A training ready to `fit`, from the run's checkpoint if there is one, else from fresh weights.

    Args:
        run: Where checkpoint and history go.
        config: Every setting.
        dataset: Trained on `train`, watched on `validation`.
        report: Told what is trained, if anything is left to.
        more_to_come: Trainings like this one that follow it; for the estimate of the time alone.

    Raises:
        ModelError: if the checkpoint is damaged or does not fit.
    """
    pictures = dataset.pictures("train")
    environment = run.load_environment() if run.environment_file.exists() else {}  # a study times its base without
    settings = settled(config.training, environment.get("precision"))
    weights = balanced_class_weights(pictures.y_true) if settings.class_weights == "balanced" else (1.0, 1.0)
    loader = BatchLoader(pictures, config, weights, dataset.neither_pictures("train"))
    size = config.data.image_size if config.network.name == "plain" else None  # None: pictures of any size
    model = build_network(config.network, size, l2=settings.l2, seed=settings.seed, precision=settings.precision)
    compile_network(model, settings)
    watched = dataset.pictures("validation")
    training = Training(model, config, loader, watched, run.checkpoint_file, run.history_file, more_to_come)
    if run.checkpoint_file.exists():
        training.resume()
        report(f"Going on after epoch {training.state.epoch}, step {training.state.step}.")
    if not training.state.finished(settings):
        report(f"Training `{config.recipe}` ({model.count_params():,} weights, {settings.precision}) in {run.folder}")
        if warning := cut_short_growth(config):
            report(warning)
    return training


def cut_short_growth(config: Config) -> str | None:
    """What to tell people whose training ends before its pictures have grown as `progressive_resizing` says, or None.

    It is no error: a recipe tried with few epochs trains, on pictures smaller than those it is judged on.
    """
    stages = sum(epochs for epochs, _ in config.training.progressive_resizing)
    epochs = config.training.epochs
    grown, judged = config.image_size_at(epochs - 1), config.data.image_size
    if stages <= epochs or grown == judged:
        return None
    return (
        f"training.progressive_resizing takes {stages} epochs and training.epochs is {epochs}: pictures grow to "
        f"{grown} px alone, and {judged} px are judged. "
        "Better shorten both, or add --set training.progressive_resizing=[]."
    )
