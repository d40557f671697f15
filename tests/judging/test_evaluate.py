import json

import numpy as np
import pytest
from PIL import Image

from dogvscat.judging.decision import Decision
from dogvscat.judging.figures import write_figures
from dogvscat.judging.metrics import evaluate_split
from dogvscat.judging.plotting import WRONG
from dogvscat.judging.predictions import History, Predictions

pytestmark = pytest.mark.slow

NAMES = ("cat", "dog")
HOSTILE = ["$\\frac{1}{0}$.jpg", "a\nb.jpg", "\udcff\u732b\U0001f431.jpg", "x" * 300, "<script>", "$", ""]
FILES = [
    "confusion_matrix", "confusion_matrix_normalized", "roc", "reliability", "probability_histogram", "mistakes",
]  # fmt: skip


def predictions(y_true, y_prob, split="validation", class_names=NAMES) -> Predictions:
    y_true, y_prob = np.array(y_true, np.int64), np.array(y_prob, float)
    paths = [HOSTILE[i % len(HOSTILE)] for i in range(len(y_true))]
    decision = Decision(1.0, 0.0, 0.4, 0.6)
    return Predictions(split, class_names, paths, y_true, y_prob, decision.predict(y_prob), decision.is_unsure(y_prob))


def load_images(indices) -> np.ndarray:
    return np.stack([np.full((8, 8, 3), index % 256, np.uint8) for index in indices])


def history(n=3) -> History:
    keys = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    return History([{"epoch": i + 1, **dict.fromkeys(keys, 0.5 / (i + 1))} for i in range(n)], n, True, 40, 20)


def test_a_split_becomes_json_without_nan():
    result = evaluate_split(predictions([0, 0, 1, 1], [0.1, 0.7, 0.8, 0.55]))
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert document["n"] == 4
    assert document["class_names"] == ["cat", "dog"]
    assert document["confusion_matrix"] == [[1, 1], [0, 2]]
    assert document["figures"]["accuracy"]["value"] == 0.75
    assert document["figures"]["unsure_rate"] == {**document["figures"]["unsure_rate"], "value": 0.25, "n": 4}
    assert result.num_correct == 3


@pytest.mark.parametrize(
    ("y_true", "y_prob"),
    [
        ([1], [0.9]),
        ([0], [1.0]),
        ([0, 0, 0], [0.1, 0.2, 0.9]),
        ([0, 1] * 40, [0.0, 1.0] * 40),
        ([0, 1, 0, 1], [1.0, 0.0, 1.0, 0.0]),
        ([0, 1] * 40, np.linspace(0, 1, 80)),
    ],
    ids=["one image", "one mistake", "one class", "no mistake", "all wrong and certain", "many mistakes"],
)
def test_every_figure_is_drawn_whatever_the_predictions(tmp_path, y_true, y_prob):
    result = evaluate_split(predictions(y_true, y_prob))
    written = write_figures(tmp_path / "run", result, Decision(1.0, 0.0, 0.4, 0.6), load_images, history())
    assert list(written) == ["learning_curves", *FILES]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(f"{name}.png" for name in written)
    for path in written.values():
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 50
            assert max(image.size) < 2500
            assert np.asarray(image.convert("RGB")).std() > 5  # something is drawn


def test_without_a_history_there_are_no_curves(tmp_path):
    written = write_figures(tmp_path, evaluate_split(predictions([0, 1], [0.2, 0.9])), Decision(), load_images)
    assert list(written) == FILES


def test_mistakes_are_loaded_once_most_confident_first(tmp_path):
    asked: list[list[int]] = []

    def load(indices):
        asked.append(list(indices))
        return load_images(indices)

    write_figures(tmp_path, evaluate_split(predictions([0, 0, 1, 1], [0.6, 0.99, 0.9, 0.2])), Decision(), load)
    assert asked == [[1, 3, 0]]
    write_figures(tmp_path, evaluate_split(predictions([0] * 60, np.linspace(0.51, 0.99, 60))), Decision(), load)
    assert asked[1] == list(range(59, 35, -1))
    write_figures(tmp_path, evaluate_split(predictions([0], [0.1])), Decision(), load)
    assert len(asked) == 2


def test_a_note_is_seen_on_every_figure(tmp_path):
    color = tuple(int(WRONG[i : i + 2], 16) for i in (1, 3, 5))

    def header_pixels(path) -> int:
        with Image.open(path) as image:
            top = np.asarray(image.convert("RGB"))[:50].reshape(-1, 3)
        return int(np.sum(np.all(top == color, axis=1)))

    result = evaluate_split(predictions([0, 1, 1, 0], [0.9, 0.8, 0.1, 0.2]))
    plain = write_figures(tmp_path / "plain", result, Decision(), load_images, history())
    marked = write_figures(
        tmp_path / "marked", result, Decision(), load_images, history(), "pictures drawn by code, not photographs"
    )
    for name in plain:
        assert header_pixels(plain[name]) == 0, name
        assert header_pixels(marked[name]) > 30, name


def test_equal_input_gives_equal_files(tmp_path):
    result = evaluate_split(predictions([0, 1, 1, 0], [0.9, 0.8, 0.1, 0.2]))
    first = write_figures(tmp_path / "a", result, Decision(), load_images, history())
    again = write_figures(tmp_path / "b", result, Decision(), load_images, history())
    assert all(first[name].read_bytes() == again[name].read_bytes() for name in first)


def test_curves_survive_epochs_without_numbers(tmp_path):
    rows: list[dict[str, float | None]] = [
        {"epoch": 1, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.6},
        {"epoch": 2, "loss": None, "accuracy": float("nan"), "val_loss": None, "val_accuracy": None},
    ]
    diverged = History(rows, 1, False, 4, 4)
    written = write_figures(
        tmp_path, evaluate_split(predictions([0, 1], [0.2, 0.9])), Decision(), load_images, diverged
    )
    assert written["learning_curves"].stat().st_size > 1000


def test_odd_class_names_are_drawn(tmp_path):
    names = ("$a$ \udcff" * 9, "\u732b\n")
    result = evaluate_split(predictions([0, 1, 1], [0.7, 0.9, 0.1], "a long split \u732b" * 9, names))
    assert list(write_figures(tmp_path, result, Decision(), load_images, note="$x$\n")) == FILES
