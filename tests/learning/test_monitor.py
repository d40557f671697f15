"""Event files, which the real TensorBoard reads; the time left; the mistakes of an epoch."""

from pathlib import Path

import numpy as np
import pytest

from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.history import HISTORY_COLUMNS
from dogvscat.learning.inputs import read_dataset
from dogvscat.learning.loop.checkpoint import TrainingState
from dogvscat.learning.monitor.event_file import EventFile, crc32c
from dogvscat.learning.monitor.mistakes import find_mistakes
from dogvscat.learning.monitor.tensorboard import TensorBoardLog
from dogvscat.learning.monitor.time_left import seconds_left
from dogvscat.settings.resolve import resolve_config

Row = dict[str, float]


def history_of(num_epochs: int) -> list[Row]:
    numbers = np.random.default_rng(1).random((num_epochs, len(HISTORY_COLUMNS))).round(3)
    rows = [dict(zip(HISTORY_COLUMNS, map(float, row), strict=True)) for row in numbers]
    return [row | {"epoch": epoch} for epoch, row in enumerate(rows, start=1)]


def read_with_tensorboard(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Steps and values by run and tag, as TensorBoard's own reader finds them below a folder."""
    multiplexers = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_multiplexer")
    from tensorboard.util.tensor_util import make_ndarray

    multiplexer = multiplexers.EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return {
        run: {
            tag: [(event.step, float(make_ndarray(event.tensor_proto))) for event in multiplexer.Tensors(run, tag)]
            for tag in tags["tensors"]
        }
        for run, tags in multiplexer.Runs().items()
    }


def test_the_checksum_is_that_of_the_standard() -> None:
    """RFC 3720, appendix B.4, and the check value of the catalog of CRCs."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


def test_tensorboard_reads_every_epoch(tmp_path: Path) -> None:
    state, rows = TrainingState(), history_of(7)
    log = TensorBoardLog(tmp_path / "tensorboard", rows[:4])
    for row in rows[4:]:
        state.history = [row]
        log.show_step(state)
        log.show_epoch(state, np.zeros(2))
    curves = read_with_tensorboard(tmp_path)

    def expected(column: str) -> list[tuple[int, float]]:
        return [(int(row["epoch"]), float(np.float32(row[column]))) for row in rows]

    assert curves == {
        "tensorboard/train": {name: expected(name) for name in ("loss", "accuracy", "learning_rate", "seconds")},
        "tensorboard/validation": {"loss": expected("val_loss"), "accuracy": expected("val_accuracy")},
    }


def test_a_resumed_training_has_each_epoch_once(tmp_path: Path) -> None:
    TensorBoardLog(tmp_path, history_of(5))
    TensorBoardLog(tmp_path, history_of(3))  # the process was killed, and the checkpoint was two epochs old
    assert [step for step, _ in read_with_tensorboard(tmp_path)["train"]["loss"]] == [1, 2, 3]


def test_a_record_that_is_cut_off_costs_only_itself(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    for step in (1, 2, 300):  # a step of one byte, and one of two
        events.add(step, 1e9, {"loss": step / 2})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert read_with_tensorboard(tmp_path) == {".": {"loss": [(1, 0.5), (2, 1.0)]}}


def test_the_time_left_follows_the_size_of_the_images() -> None:
    config = resolve_config("fast", None, ["training.epochs=10", "training.progressive_resizing=[[5, 32]]"])
    size = config.data.image_size
    row = {"seconds": 10.0}
    large = 10.0 * size**2 / 32**2
    assert seconds_left(config, [], 0.0, 0.0) is None
    assert seconds_left(config, [], 2.5, 0.25) == pytest.approx(4 * 10 + 7.5 + 5 * large)
    assert seconds_left(config, [row] * 3, 0.0, 0.0) == pytest.approx(2 * 10 + 5 * large)
    assert seconds_left(config, [row] * 3, 4.0, 0.5) == pytest.approx(2 * 10 - 4 + 5 * large)
    assert seconds_left(config, [row] * 5, 100.0, 0.5) == pytest.approx(5 * 200 - 100)  # measured, not expected
    assert seconds_left(config, [row] * 10, 0.0, 0.0) == 0.0


def test_the_mistakes_are_the_wrong_answers_the_surest_first(drawn_photos: Path) -> None:
    config = resolve_config("classic", None, ["data.image_size=32", "data.validation_share=0.6"])
    dataset: Dataset = read_dataset(InputPaths(drawn_photos), None, config, lambda sentence: None)[0]
    rows, images = dataset.manifest.of_split("validation"), dataset.images["validation"]
    logits = np.random.default_rng(0).normal(size=len(images))
    mistakes = find_mistakes(dataset, logits)
    wrong = {
        row.path: abs(logit)
        for row, logit in zip(rows, logits, strict=True)
        if row.label != ("dog" if logit >= 0 else "cat")
    }
    assert (mistakes.count, mistakes.total) == (len(wrong), len(rows))
    assert mistakes.count > 12
    assert [mistake["path"] for mistake in mistakes.surest] == sorted(wrong, key=lambda path: -wrong[path])[:12]
    for mistake in mistakes.surest:
        assert mistake["path"] == rows[mistake["sample"]].path
        assert mistake["label"] == rows[mistake["sample"]].label != mistake["answer"]
        assert mistake["probability"] == pytest.approx(1 / (1 + np.exp(-wrong[mistake["path"]])))
