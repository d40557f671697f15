"""Photos that a network learned from are recognized by the fingerprints in its bundle; strangers are not."""

import shutil
import zipfile
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from dogvscat.bundle.evaluation import evaluate
from dogvscat.bundle.fingerprints import (
    FINGERPRINT_FILES,
    MAX_BITS,
    compute_fingerprints,
    match_fingerprints,
    match_images,
    pack_fingerprints,
)
from dogvscat.bundle.folder import DEFAULT_BUNDLE, load_card
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.drawing.sample import draw, write_sample
from dogvscat.photos.reading.sources import open_photos
from tests.helpers import encoded


def test_a_fingerprint_is_the_hash_of_another_library() -> None:
    """ImageHash's pHash of an image that is already as small as it makes them."""
    images = [np.asarray(draw("cat", seed, 32)) for seed in range(8)]
    expected = [int(str(imagehash.phash(Image.fromarray(image))), 16) for image in images]
    assert compute_fingerprints(images).tolist() == expected
    assert compute_fingerprints([]).tolist() == []


def with_flipped_bits(fingerprints: np.ndarray, count: int) -> np.ndarray:
    """Fingerprints with some bits flipped."""
    return fingerprints ^ np.uint64(sum(1 << (5 * bit) for bit in range(count)))


def test_near_fingerprints_match_and_the_nearest_counts() -> None:
    rng = np.random.default_rng(1)
    train, validation, strangers = (rng.integers(0, 2**64, n, dtype=np.uint64) for n in (3000, 300, 500))
    packed = {"train": pack_fingerprints(train), "validation": pack_fingerprints(validation)}
    assert [len(content) for content in packed.values()] == [8 * 3000, 8 * 300]
    assert match_fingerprints(train[:5], packed) == ["train"] * 5
    assert match_fingerprints(with_flipped_bits(validation, MAX_BITS), packed) == ["validation"] * 300
    assert match_fingerprints(with_flipped_bits(train[:1], MAX_BITS + 1), packed) == [None]
    assert match_fingerprints(strangers, packed) == [None] * 500
    packed["train"] = pack_fingerprints(with_flipped_bits(validation[:1], 2))
    assert match_fingerprints(validation[:1], packed) == ["validation"]
    assert match_fingerprints(train[:2], {"train": b""}) == [None, None]


@pytest.mark.slow
def test_a_bundle_that_was_copied_elsewhere_still_recognizes_its_photos(
    quick_run: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    """As in its run folder, also where the photos were saved again, scaled, and mixed with others."""
    bundle, mixed = Path(shutil.copytree(quick_run / "bundle", tmp_path / "copied")), tmp_path / "mixed"
    write_sample(mixed, 12, seed=77, image_size=64)
    for photo in drawn_photos.rglob("*.jpg"):
        with Image.open(photo) as image:
            image.resize((150, 90)).save(mixed / photo.parent.name / f"copy {photo.stem}.png")
    messages: list[str] = []
    evaluation = evaluate(bundle, open_photos(mixed), tmp_path / "out", messages.append)
    in_run = evaluate(quick_run, open_photos(mixed), tmp_path / "out in run", lambda message: None)
    counts = {name: result.n for name, result in evaluation.results.items()}
    assert counts == {name: result.n for name, result in in_run.results.items()}
    assert counts["all"] == 12
    assert f"The model was trained on {counts['train']} of these photos" in " ".join(messages)
    assert "cannot be recognized" not in " ".join(messages)


def test_the_bundled_model_recognizes_the_photos_it_learned_from_and_no_others(test_data: Path, tmp_path: Path) -> None:
    """The originals of 200 photos of the archive, at their own sizes; and 100 photos from elsewhere."""
    evaluation = evaluate(None, open_photos(test_data / "photos"), tmp_path / "out", lambda message: None)
    counts = {name: result.n for name, result in evaluation.results.items()}
    assert counts.keys() == FINGERPRINT_FILES.keys()
    assert sum(counts.values()) == 200
    packed = {split: (DEFAULT_BUNDLE / name).read_bytes() for split, name in FINGERPRINT_FILES.items()}
    with zipfile.ZipFile(test_data / "neither.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:100]
        images = [decode(archive.read(name), name, evaluation_size()) for name in names]
    assert match_images(images, packed) == [None] * 100


@pytest.mark.parametrize("version", Image.Transpose)
def test_mirrored_and_turned_copies_are_recognized(version: Image.Transpose) -> None:
    drawings = [draw("dog", seed, 96) for seed in range(20)]
    learned, new = drawings[:10], drawings[10:]
    packed = {"train": pack_fingerprints(compute_fingerprints(map(np.asarray, learned)))}
    files = [encoded(image.transpose(version), "JPEG", quality=80) for image in learned + new]
    copies = [decode(file, "copy", 96) for file in files]
    assert match_images(copies, packed) == ["train"] * 10 + [None] * 10
    assert match_images([], packed) == []


def evaluation_size() -> int:
    """The image size of the bundled model."""
    return load_card(DEFAULT_BUNDLE).image_size
