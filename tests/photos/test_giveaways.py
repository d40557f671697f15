"""Facts about files that reveal the class are named, and nothing else is."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.config import DataConfig
from dogvscat.judging.diagnosis import giveaway_finding
from dogvscat.judging.intervals import wilson
from dogvscat.photos.drawing.sample import draw
from dogvscat.photos.giveaways import Giveaway, find_giveaways
from dogvscat.photos.manifest import describe, make_manifest
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.scan import ScannedPhoto, scan
from tests.helpers import Dogvscat, encoded

Save = Callable[[Image.Image], bytes]


def _jpeg(image: Image.Image) -> bytes:
    return encoded(image, "JPEG", quality=90)


def _with_camera(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Kamera AG"
    return encoded(image, "JPEG", quality=90, exif=exif)


WAYS: dict[str, Save] = {
    "the size in pixels": lambda image: _jpeg(image.resize((64, 64))),
    "the shape": lambda image: _jpeg(image.resize((125, 80))),
    "the color mode": lambda image: _jpeg(image.convert("L").convert("RGB")),  # gray, though the file is a color one
    "the file format": lambda image: encoded(image, "PNG"),
    "the JPEG quality": lambda image: encoded(image, "JPEG", quality=75),
    "the maker of the camera": _with_camera,
}


def _filed_at_random(folder: Path, count: int, save_second: Save) -> Path:
    """Drawings filed under a random class; those of the second class are saved in a way of their own."""
    rng = random.Random(1)
    for number in range(count):
        label = rng.randrange(2)
        drawing = draw(rng.choice(["cat", "dog"]), number, 100)
        file = folder / ("a", "b")[label] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(save_second(drawing) if label else _jpeg(drawing))
    return folder


@pytest.mark.parametrize("fact", WAYS)
def test_a_fact_that_tells_the_class_is_found(tmp_path: Path, fact: str) -> None:
    scanned = scan(open_photos(_filed_at_random(tmp_path, 60, WAYS[fact])))
    giveaways = find_giveaways(scanned, [photo.sha256 for photo in scanned])
    by_fact = {giveaway.fact: giveaway for giveaway in giveaways}
    assert by_fact[fact].accuracy == 1
    assert by_fact[fact].n == 60
    assert [giveaway.accuracy for giveaway in giveaways] == sorted(by_fact[name].accuracy for name in by_fact)[::-1]


def test_equally_saved_photos_have_no_giveaway(tmp_path: Path) -> None:
    scanned = scan(open_photos(_filed_at_random(tmp_path, 60, _jpeg)))
    assert find_giveaways(scanned, [photo.sha256 for photo in scanned]) == ()


def _photos(labels: np.ndarray, widths: np.ndarray) -> list[ScannedPhoto]:
    return [
        ScannedPhoto(f"{n}", int(label), "", 5000, f"{n:064}", "", int(width), 100, "RGB", 50.0, "", "")
        for n, (label, width) in enumerate(zip(labels, widths, strict=True))
    ]


def test_random_facts_are_never_giveaways() -> None:
    """Fifty collections whose sizes have nothing to do with the labels, of all degrees of imbalance."""
    rng = np.random.default_rng(0)
    for share in np.linspace(0.05, 0.95, 50):
        photos = _photos(rng.random(200) < share, rng.integers(50, 5000, 200))
        assert find_giveaways(photos, [photo.sha256 for photo in photos]) == ()


def test_the_accuracy_of_a_known_tie_lies_in_the_interval() -> None:
    """The width reveals the class of 80% of the photos, by construction."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    is_small = np.where(rng.random(2000) < 0.8, labels, 1 - labels).astype(bool)
    photos = _photos(labels, np.where(is_small, 64, 180))
    (giveaway, *_) = find_giveaways(photos, [photo.sha256 for photo in photos])
    assert giveaway.low < 0.8 < giveaway.high
    expected = wilson(round(giveaway.accuracy * 2000), 2000)
    assert (giveaway.low, giveaway.high) == pytest.approx((expected.low, expected.high))
    assert giveaway.majority_share == max(labels.mean(), 1 - labels.mean())


def test_a_group_of_copies_counts_once_and_not_if_it_has_both_labels() -> None:
    labels = np.arange(80) % 2
    photos = _photos(labels, np.where(labels, 64, 180))
    groups = [photo.sha256 for photo in photos]
    copies = [replace(photo, sha256="f" * 63 + str(n % 10)) for n, photo in enumerate(photos[:20])]
    assert find_giveaways(photos + copies, groups + groups[:20]) == find_giveaways(photos, groups)
    (giveaway, *_) = find_giveaways(photos, [groups[0]] * 20 + groups[20:])
    assert giveaway.n == 60


def test_broken_photos_and_too_few_are_no_reason_to_fail() -> None:
    broken = [
        replace(photo, width=0, height=0, error_code="empty") for photo in _photos(np.arange(30) % 2, np.ones(30))
    ]
    assert find_giveaways(broken, [photo.sha256 for photo in broken]) == find_giveaways([], []) == ()


def test_training_warns_and_the_report_explains(tmp_path: Path) -> None:
    source = open_photos(_filed_at_random(tmp_path, 60, WAYS["the JPEG quality"]))
    manifest = make_manifest(source, DataConfig())
    warnings = [sentence for sentence in describe(manifest, source, False) if sentence.startswith("Warning: ")]
    assert warnings[0].startswith(
        "Warning: The JPEG quality by itself reveals the class: it is correct for 100.0% (94.0-100.0) of 60"
    )
    finding = giveaway_finding(manifest.giveaways[0])
    assert finding.title == "A giveaway: the JPEG quality reveals the class"
    assert "100.0% (94.0-100.0) of 60 photos" in finding.explanation
    assert "same program, format and quality" in finding.try_next


def test_audit_names_it(dogvscat: Dogvscat, tmp_path: Path) -> None:
    photos = _filed_at_random(tmp_path / "photos", 60, WAYS["the file format"])
    result = dogvscat("audit", photos, "--out", tmp_path / "audit", "--fail-on", "giveaway")
    assert result.returncode == 3
    assert "Giveaway: The file format by itself reveals the class: it is correct for 100.0%" in result.stdout
    assert "The file format by itself reveals the class" in (tmp_path / "audit" / "audit.html").read_text()


def test_sentences_are_complete() -> None:
    giveaway = Giveaway("the size in pixels", 0.953, 0.923, 0.972, 300, 0.51, "Scale them.")
    assert giveaway.sentence() == (
        "The size in pixels by itself reveals the class: it is correct for 95.3% (92.3-97.2) of 300 photos, where "
        "guessing the larger class is correct for 51.0%. A network may learn this instead of the animals, and fail on "
        "photos from elsewhere. Scale them."
    )
