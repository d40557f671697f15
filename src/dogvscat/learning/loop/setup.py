"""A training set up from a configuration: the same batches, network and loop for `train`, a study's runs and folds."""

from dogvscat.config import Config
from dogvscat.learning.data.batches import BatchLoader, balanced_class_weights
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, keras
from dogvscat.learning.loop.training import Training
from dogvscat.learning.model.networks import build_network
from dogvscat.learning.model.optimizers import compile_network
from dogvscat.learning.run.folder import Run
from dogvscat.stderr import Reporter


def set_up_training(
    run: Run, config: Config, dataset: Dataset, compute: ComputeSettings, report: Reporter, num_following: int = 0
) -> Training:
    """A training ready to `fit`, from the run's checkpoint if there is one, else from fresh weights.

    Args:
        run: Where checkpoint and history go.
        config: Every setting.
        dataset: Learned from on `train`, watched on `validation`.
        compute: As `open_engine` settled it.
        report: Is given what is trained, if anything remains to be.
        num_following: Trainings like this one that follow it; only for the estimate of the time.

    Raises:
        ModelError: if the checkpoint is damaged or does not fit.
    """
    model, loader = build_model_and_batches(config, dataset, compute)
    validation = dataset.images("validation")
    training = Training(model, config, loader, validation, run.checkpoint_file, run.history_file, num_following)
    if run.checkpoint_file.exists():
        training.resume()
        report(f"Resuming after epoch {training.state.epoch}, step {training.state.step}.")
    if not training.state.is_finished(config.training):
        weights = f"{model.count_params():,} weights, {compute.precision}"
        report(f"Training `{config.recipe}` ({weights}) in {run.folder}")
        if warning := cut_short_growth(config):
            report(warning)
    return training


def build_model_and_batches(
    config: Config, dataset: Dataset, compute: ComputeSettings
) -> tuple[keras.Model, BatchLoader]:
    """A compiled network with fresh weights, and the batches it learns from."""
    settings = config.training.model_copy(update={"precision": compute.precision})
    train = dataset.images("train")
    class_weights = balanced_class_weights(train.y_true) if settings.class_weights == "balanced" else (1.0, 1.0)
    loader = BatchLoader(train, config, class_weights, dataset.neither_images("train"))
    # A dense layer fixes the size of its input; a network that ends in a mean over places takes images of any size.
    image_size = config.data.image_size if config.network.name == "plain" else None
    model = build_network(config.network, image_size, l2=settings.l2, seed=settings.seed, precision=settings.precision)
    compile_network(model, settings)
    return model, loader


def cut_short_growth(config: Config) -> str | None:
    """A warning if the training ends before its images have grown as `progressive_resizing` says, else None.

    It is not an error: a recipe tried with few epochs trains, but on smaller images than those it is evaluated on.
    """
    growth_epochs = sum(epochs for epochs, _ in config.training.progressive_resizing)
    epochs = config.training.epochs
    last_size, final_size = config.image_size_at(epochs - 1), config.data.image_size
    if growth_epochs <= epochs or last_size == final_size:
        return None
    return (
        f"training.progressive_resizing takes {growth_epochs} epochs and training.epochs is {epochs}: images grow only "
        f"to {last_size} px, and the network is evaluated at {final_size} px. "
        "Better shorten both, or add --set training.progressive_resizing=[]."
    )
