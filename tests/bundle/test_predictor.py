"""Answers worked out by hand for pictures of one color, and graphs that must not be run."""

import hashlib
import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogvscat import caches
from dogvscat.bundle.folder import load_card
from dogvscat.bundle.predict.prediction import Failure, Prediction
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.errors import ModelError
from dogvscat.photos.decoding.decoder import decode
from tests.helpers import ChangeCard, LinearBundle, metrics_with, plain_png, seal, shift_golden

# red, green, blue -> the logit of the linear network: 8 * (red - blue) / 255
COLORS = {(255, 0, 0): 8.0, (0, 0, 255): -8.0, (90, 7, 90): 0.0, (150, 0, 99): 1.6, (51, 255, 102): -1.6}


@pytest.fixture
def predictor(untouched_bundle: Path) -> Predictor:
    return Predictor.load(untouched_bundle)


def test_answers_are_what_one_works_out_by_hand(predictor: Predictor) -> None:
    answers = predictor.predict([plain_png(color) for color in COLORS])
    for answer, logit in zip(answers, COLORS.values(), strict=True):
        assert isinstance(answer, Prediction)
        assert answer.probabilities["dog"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-5)
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
        assert list(answer.probabilities) == ["cat", "dog"]
        if logit:
            assert answer.label == ("dog" if logit > 0 else "cat")


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        # probabilities of dog: 0.9997, 0.0003, 0.5, 0.832, 0.168
        (0.1, 0.9, ["dog", "cat", "unsure", "unsure", "unsure"]),
        (0.19, 0.6, ["dog", "cat", "unsure", "dog", "cat"]),
        (0.3, 0.84, ["dog", "cat", "unsure", "unsure", "cat"]),
        (0.0, 1.0, ["unsure"] * 5),
    ],
)
def test_labels_and_reasons_follow_the_band(untouched_bundle: Path, low: float, high: float, labels: list[str]) -> None:
    predictor = Predictor.load(untouched_bundle)
    predictor.rules = replace(predictor.rules, unsure_low=low, unsure_high=high)
    answers = predictor.predict([plain_png(color) for color in COLORS])
    assert [answer.label for answer in answers if isinstance(answer, Prediction)] == labels
    reasons = [answer.reason for answer in answers if isinstance(answer, Prediction)]
    assert reasons == ["close" if label == "unsure" else None for label in labels]
    assert [answer.to_dict()["reason"] for answer in answers if isinstance(answer, Prediction)] == reasons


def test_other_classes_work_the_same_way(tmp_path: Path, linear_bundle: LinearBundle) -> None:
    predictor = Predictor.load(linear_bundle(tmp_path / "bundle", class_names=("husky", "wolf")))
    (answer,) = predictor.predict([plain_png((255, 0, 0))])
    assert isinstance(answer, Prediction)
    assert answer.label == "wolf"  # the positive class is the second by name
    assert list(answer.probabilities) == ["husky", "wolf"]


def test_answers_come_in_order_with_failures_in_place(tmp_path: Path, predictor: Predictor) -> None:
    photos: list[Path] = []
    for number in range(5 * BATCH_SIZE + 3):
        photos.append(tmp_path / f"{number}.png")
        if number % 7 == 3:
            photos[-1].write_bytes(b"not a picture")
        elif number % 11 != 5:
            photos[-1].write_bytes(plain_png((number, 0, 0)))
    answers = predictor.predict(photos)
    assert [answer.path for answer in answers] == [str(photo) for photo in photos]
    for number, answer in enumerate(answers):
        if isinstance(answer, Failure):
            assert answer.code == ("unsupported_format" if number % 7 == 3 else "not_found")
            assert str(photos[number]) not in answer.message
        else:
            logit = 8 * number / 255
            assert answer.probabilities["dog"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-5)
    num_failed = sum(isinstance(answer, Failure) for answer in answers)
    assert num_failed == sum(number % 7 == 3 or number % 11 == 5 for number in range(len(photos)))


def test_a_batch_of_one_equals_a_batch_of_many(predictor: Predictor, drawn_photos: Path) -> None:
    photos = sorted(drawn_photos.rglob("*.jpg"))[: BATCH_SIZE + 5]
    together = [answer.probabilities["dog"] for answer in predictor.predict(photos) if isinstance(answer, Prediction)]
    alone = [
        answer.probabilities["dog"]
        for photo in photos
        for answer in predictor.predict([photo])
        if isinstance(answer, Prediction)
    ]
    assert len(together) == len(alone) == len(photos)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.ptp(together) > 0.05  # the pictures do get different answers


def test_bytes_paths_and_pixels_agree(predictor: Predictor, drawn_photos: Path) -> None:
    photo = min(drawn_photos.rglob("*.jpg"))
    answers = predictor.predict([photo, str(photo), photo.read_bytes()])
    assert all(isinstance(answer, Prediction) for answer in answers)
    assert [answer.path for answer in answers] == [str(photo), str(photo), "picture 2"]
    probabilities = {answer.probabilities["dog"] for answer in answers if isinstance(answer, Prediction)}
    pixels = decode(photo.read_bytes(), "", 32)[None]  # (1, 32, 32, 3)
    assert probabilities == {float(predictor.probabilities(pixels)[0])}
    assert 1 / (1 + np.exp(-predictor.logits(pixels).positive)) == pytest.approx(predictor.probabilities(pixels))


def test_pillow_images_and_arrays_agree_with_their_file(predictor: Predictor, drawn_photos: Path) -> None:
    photo = min(drawn_photos.rglob("*.jpg"))
    with Image.open(photo) as image, Image.open(photo) as unread:
        answers = predictor.predict([photo, unread, image.convert("RGB"), np.asarray(image.convert("RGB"))])
    assert [answer.path for answer in answers] == [str(photo), "picture 1", "picture 2", "picture 3"]
    file, *others = (answer.probabilities["dog"] for answer in answers if isinstance(answer, Prediction))
    assert others == pytest.approx([file] * 3, abs=1e-3)
    assert others[0] == file


def test_what_is_no_photo_fails_in_its_place(predictor: Predictor) -> None:
    photos: list[Any] = [plain_png((255, 0, 0)), np.zeros((4, 4)), None, b"", 7, Image.new("RGB", (9, 9), "red")]
    answers = predictor.predict(photos)
    codes = [answer.code if isinstance(answer, Failure) else answer.label for answer in answers]
    assert codes == ["dog", "unsupported_format", "unsupported_format", "empty", "unsupported_format", "dog"]
    assert isinstance(answers[2], Failure)
    assert answers[2].message.startswith("is of type NoneType, expected a path, bytes, a Pillow image or an array")


@pytest.mark.parametrize("photo", ["photo.jpg", Path("photo.jpg"), b"photo", Image.new("RGB", (1, 1))])
def test_one_photo_instead_of_several_is_refused_not_taken_apart(predictor: Predictor, photo: Any) -> None:
    with pytest.raises(TypeError, match=r"expected several photos, received one .*: give a list, \[photo\]"):
        predictor.predict(photo)


def test_decoded_pictures_are_answered_under_their_names(predictor: Predictor) -> None:
    pixels = np.stack([decode(plain_png(color), "", 32) for color in COLORS])
    answers = predictor.predict_pixels(pixels, list("abcde"))
    assert [answer.path for answer in answers] == list("abcde")
    expected = predictor.predict([plain_png(color) for color in COLORS])
    assert [answer.probabilities for answer in answers] == [
        answer.probabilities for answer in expected if isinstance(answer, Prediction)
    ]
    assert predictor.predict_pixels(pixels[:0], []) == []
    with pytest.raises(ValueError, match="zip"):
        predictor.predict_pixels(pixels, ["too", "few"])


def test_many_photos_take_bounded_memory(predictor: Predictor) -> None:
    """A hundred thousand answers are streamed while no more photos are held than the batches ahead."""
    taken = 0

    def photos() -> Iterator[bytes]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield plain_png((number % 256, 0, 0))

    for number, _ in enumerate(itertools.islice(predictor.stream(photos()), 20 * BATCH_SIZE)):
        assert taken - number <= (2 * predictor.threads + 2) * BATCH_SIZE
    assert taken < 40 * BATCH_SIZE + 4 * predictor.threads * BATCH_SIZE


def test_the_package_s_front_door_is_lazy(tmp_path: Path) -> None:
    program = "import sys, dogvscat; early = set(sys.modules); from dogvscat import Predictor, Prediction, Failure\n"
    program += "print('numpy' in early, 'onnxruntime' in early, Predictor.__module__, hasattr(dogvscat, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "dogvscat.bundle.predict.predictor", "False"]


def test_nothing_to_predict_is_no_error(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_golden_pictures_of_one_bundle_are_answered_once(bundle: Path) -> None:
    Predictor.load(bundle)
    (marker,) = caches.folder("verified").iterdir()
    assert marker.name == hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()
    checked = []

    class Watched(Predictor):
        def check_golden(self) -> None:
            checked.append(self)

    Watched.load(bundle)
    assert checked == []
    marker.unlink()
    Watched.load(bundle)
    assert len(checked) == 1


@pytest.mark.parametrize("content", [b"", b"dogvscat 0.0.1, numpy 1.0.0\n/tmp/bundle\n", b"\xff"])
def test_with_other_versions_a_bundle_is_checked_again(bundle: Path, content: bytes) -> None:
    Predictor.load(bundle)
    (marker,) = caches.folder("verified").iterdir()
    remembered = marker.read_bytes()
    assert f"numpy {np.__version__}".encode() in remembered
    marker.write_bytes(content)
    Predictor.load(bundle)
    assert marker.read_bytes() == remembered


def test_a_wrong_golden_answer_is_refused_and_the_picture_named(bundle: Path, change_card: ChangeCard) -> None:
    recorded = load_card(bundle).golden[2]
    change_card(lambda card: shift_golden(card, 2, 0.01))
    answer = rf"{recorded.label} \(cat {recorded.probabilities['cat']:.4f}, dog {recorded.probabilities['dog']:.4f}\)"
    with pytest.raises(ModelError, match=rf"golden/3\.png should have the answer .* computes {answer}"):
        Predictor.load(bundle)
    assert not list(caches.folder("verified").glob("*"))


def test_rounding_of_other_processors_passes(bundle: Path, change_card: ChangeCard) -> None:
    for number in range(len(load_card(bundle).golden)):
        change_card(partial(shift_golden, number=number, difference=5e-4))
    assert Predictor.load(bundle)


def test_golden_answers_hold_the_names_of_the_classes(bundle: Path, change_card: ChangeCard) -> None:
    """Names that were changed everywhere but in the golden answers, and everywhere with them but not in the graph."""
    names = ["a cat", "the dog"]

    def rename(card: dict[str, Any]) -> None:
        card.update(class_names=names, positive_class=names[1])

    change_card(rename)
    with pytest.raises(ModelError, match="must be of a cat and the dog"):
        Predictor.load(bundle)

    def turn_around(card: dict[str, Any]) -> None:
        """What was the probability of a cat is now that of `the dog`."""
        for picture in card["golden"]:
            dog = picture["probabilities"]["cat"]
            picture["probabilities"] = {names[0]: 1.0 - dog, names[1]: dog}
            picture["label"] = names[int(dog >= 0.5)]

    change_card(turn_around)
    with pytest.raises(ModelError, match=r"golden/1\.png should have the answer"):
        Predictor.load(bundle)


def test_golden_answers_hold_reasons(linear_bundle: LinearBundle, tmp_path: Path) -> None:
    at_chance = load_card(linear_bundle(tmp_path / "guesses", metrics=metrics_with(0.4))).golden
    assert {(picture.label, picture.reason) for picture in at_chance} == {("unsure", "at_chance")}
    wide = load_card(linear_bundle(tmp_path / "wide", unsure=(0.001, 0.999))).golden
    assert {(picture.label, picture.reason) for picture in wide} == {("unsure", "close")}
    best = load_card().golden
    assert {(picture.label, picture.reason) for picture in best} == {
        ("cat", None), ("dog", None), ("unsure", "neither")
    }  # fmt: skip


def test_a_golden_picture_that_is_none_is_refused(bundle: Path) -> None:
    (bundle / "golden" / "2.png").write_bytes(b"no picture")
    seal(bundle)
    with pytest.raises(ModelError, match=r"the golden picture .*golden/2\.png: is not a picture"):
        Predictor.load(bundle)


def test_a_home_that_cannot_be_written_only_means_checking_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DOGVSCAT_HOME", str(tmp_path / "file"))
    assert Predictor.load(bundle)
    monkeypatch.setenv("DOGVSCAT_HOME", "/dev/null/home")
    assert Predictor.load(bundle)


def test_without_a_home_folder_a_bundle_is_checked_every_time(
    untouched_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs with a user id that /etc/passwd does not have."""

    def no_such_user(uid: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("DOGVSCAT_HOME", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_such_user)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        Path.home()
    for _ in range(2):
        assert Predictor.load(untouched_bundle).predict([plain_png("red")])
    assert not list(tmp_path.iterdir())
