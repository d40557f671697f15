"""The example in one file trains as the product does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dogvscat.learning.engine import ComputeSettings
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.inputs import read_dataset
from dogvscat.learning.loop.training import Training, build_model_and_batches
from dogvscat.photos.drawing.sample import write_sample
from dogvscat.photos.manifest import Manifest
from dogvscat.settings.resolve import resolve_config

IMAGE_SIZE = 32
WITHOUT_ADDITIONS = [
    f"data.image_size={IMAGE_SIZE}",
    "augmentation.enabled=false",
    "network.dropout=0",
    "training.epochs=2",
    "training.ema_momentum=0",
    "training.progressive_resizing=[]",
    "training.precision=float32",
    "training.recalibrated_pictures=0",
]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The module examples/from_scratch.py."""
    file = Path(__file__).parents[2] / "examples" / "from_scratch.py"
    spec = importlib.util.spec_from_file_location("from_scratch", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_epochs_equal_those_of_the_product(example: ModuleType, tmp_path: Path) -> None:
    write_sample(tmp_path / "photos", 180, seed=5, image_size=IMAGE_SIZE)
    config = resolve_config("fast", None, WITHOUT_ADDITIONS)
    dataset, _ = read_dataset(InputPaths(tmp_path / "photos"), None, config, lambda sentence: None)
    model, loader = build_model_and_batches(config, dataset, ComputeSettings(1, "float32"))
    of_example = example.build_network(IMAGE_SIZE, dropout=0.0)
    assert [weight.shape for weight in of_example.weights] == [weight.shape for weight in model.weights]
    of_example.set_weights(model.get_weights())

    images, labels = example.read_photos(tmp_path / "photos", IMAGE_SIZE)
    training, validation = (
        (images[positions], labels[positions])
        for positions in (_positions(dataset.manifest, split) for split in ("train", "validation"))
    )
    np.testing.assert_array_equal(training[0], dataset.images["train"].pixels(np.arange(len(training[0])), IMAGE_SIZE))
    rows = example.fit(of_example, training, validation, epochs=2, augmenting=False)

    files = tmp_path / "checkpoint", tmp_path / "history.csv"
    product = Training(model, config, loader, dataset.images["validation"], *files, quiet=True)
    product.fit()
    for row, expected in zip(rows, product.state.history, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        # One photo may lie so close to the threshold that the last digits decide.
        assert row["val_accuracy"] == pytest.approx(expected["val_accuracy"], abs=1.01 / len(validation[1]))


def test_a_folder_without_enough_photos_is_named(example: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"there is no folder .*nothing"):
        example.read_photos(tmp_path / "nothing", IMAGE_SIZE)
    with pytest.raises(SystemExit, match="has 0 folders, expected two"):
        example.read_photos(tmp_path, IMAGE_SIZE)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(SystemExit, match="has 0 photos that can be read, expected at least 9"):
        example.read_photos(tmp_path, IMAGE_SIZE)


def _positions(manifest: Manifest, split: str) -> list[int]:
    """Where the photos of a split are in the example's order: sorted by class and name."""
    names = sorted(row.path for row in manifest.rows)
    return [names.index(row.path) for row in manifest.of_split(split)]
