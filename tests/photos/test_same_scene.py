"""Cropped, shifted, framed, rotated and augmented copies are found by their landmarks, and strangers are not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from dogvscat.config import DataConfig
from dogvscat.photos.duplicates import group_names, near_duplicates
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.scan import scan

Change = Callable[[Image.Image], Image.Image]
SIDE = 180


def scene(seed: int) -> Image.Image:
    """A cloudy picture with a few things in it, unlike any other seed's."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    spectrum = rng.normal(size=(2, SIDE, SIDE)) / np.maximum(frequency, 1 / SIDE) ** 1.3  # as in photographs
    clouds = np.fft.ifft2(spectrum[0] + 1j * spectrum[1]).real
    gray = np.clip(128 + 40 * clouds / clouds.std(), 0, 255).astype(np.uint8)
    image = Image.merge("RGB", [Image.fromarray(gray)] * 3)
    drawing = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = rng.integers(0, SIDE, 2).tolist()
        width, height = rng.integers(10, 60, 2).tolist()
        drawing.ellipse((x, y, x + width, y + height), tuple(rng.integers(0, 256, 3).tolist()))
    return image


def _cropped(share: float) -> Change:
    return lambda image: ImageOps.crop(image, round(share * SIDE))


def _shifted(image: Image.Image) -> Image.Image:
    moved = Image.new("RGB", image.size, "white")
    moved.paste(image, (round(-0.08 * SIDE), round(0.05 * SIDE)))
    return moved


def _camera_moved(image: Image.Image) -> Image.Image:
    distance = round(0.04 * SIDE)
    return image.crop((distance, 0, SIDE, SIDE - distance))


def _noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 12, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _augmented(image: Image.Image) -> Image.Image:
    turned = ImageOps.mirror(image).rotate(7, Image.Resampling.BILINEAR, fillcolor="gray")
    return ImageEnhance.Brightness(turned.crop((9, 3, SIDE - 4, SIDE - 7))).enhance(0.85)


CHANGES: dict[str, Change] = {
    "cropped by 5% per side": _cropped(0.05),
    "cropped by 10% per side": _cropped(0.10),
    "cropped by 15% per side": _cropped(0.15),
    "shifted, white bars": _shifted,
    "the camera moved": _camera_moved,
    "framed": lambda image: ImageOps.expand(image, 15, "maroon"),
    "inverted and cropped": lambda image: ImageOps.invert(_cropped(0.08)(image)),
    "mirrored and cropped": lambda image: ImageOps.mirror(_cropped(0.06)(image)),
    "turned and framed": lambda image: ImageOps.expand(image.rotate(90), 8, "black"),
    "rotated": lambda image: image.rotate(12, Image.Resampling.BILINEAR),
    "augmented": _augmented,
}


def _write(folder: Path, images: dict[str, Image.Image]) -> None:
    for path, image in images.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").save(folder / path, quality=88)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_joins_its_original(tmp_path: Path, change: str) -> None:
    scenes = [scene(seed) for seed in range(20)]
    _write(tmp_path, {f"a/{seed:02}.jpg": image for seed, image in enumerate(scenes)})
    _write(tmp_path, {f"b/{seed:02}.jpg": CHANGES[change](image) for seed, image in enumerate(scenes)})
    scanned = scan(open_photos(tmp_path))
    groups = group_names(scanned, near_duplicates(scanned))
    num_joined = sum(original == copy for original, copy in zip(groups[:20], groups[20:], strict=True))
    assert num_joined >= 19
    assert len(set(groups)) == 40 - num_joined  # and no group holds two scenes


def test_strangers_stay_apart(tmp_path: Path) -> None:
    _write(tmp_path, {f"{'ab'[seed % 2]}/{seed}.jpg": scene(seed) for seed in range(300)})
    assert near_duplicates(scan(open_photos(tmp_path))) == []


def test_groups_do_not_depend_on_the_names_of_files(tmp_path: Path) -> None:
    images = {seed: scene(seed) for seed in range(10)}
    images |= {10 + seed: _cropped(0.01 * seed)(image) for seed, image in list(images.items())}
    _write(tmp_path / "one", {f"{'ab'[seed % 2]}/{seed:02}.jpg": image for seed, image in images.items()})
    _write(tmp_path / "two", {f"{'ab'[seed % 2]}/{99 - seed}.jpg": image for seed, image in images.items()})
    groups = []
    for folder in ("one", "two"):
        scanned = scan(open_photos(tmp_path / folder))
        names = group_names(scanned, near_duplicates(scanned))
        groups.append({photo.sha256: name for photo, name in zip(scanned, names, strict=True)})
    assert groups[0] == groups[1]


def test_a_plain_picture_has_no_landmarks_and_does_no_harm(tmp_path: Path) -> None:
    half = Image.new("RGB", (90, 90), "white")
    half.paste("black", (0, 0, 45, 90))
    _write(tmp_path, {"a/half.jpg": half, "a/scene.jpg": scene(1), "b/white.jpg": Image.new("RGB", (90, 90), "white")})
    assert near_duplicates(scan(open_photos(tmp_path))) == []


def test_random_labels_cannot_be_learned_from_copies(tmp_path: Path, test_data: Path) -> None:
    """The case of scikeras#327: without groups, the nearest picture names every class; with them it must guess."""
    rng = np.random.default_rng(0)
    copies = {"": lambda image: image, "mirrored": ImageOps.mirror, "turned": lambda image: image.rotate(90)}
    copies |= {"cropped": _cropped(0.05), "moved": _camera_moved, "noisy": _noisy}
    originals = sorted((test_data / "photos").rglob("*.jpg"))[::2]
    for number, path in enumerate(originals):
        label = "ab"[rng.integers(2)]
        image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB").resize((SIDE, SIDE))
        _write(tmp_path, {f"{label}/{number:03}{name}.jpg": change(image) for name, change in copies.items()})
    source = open_photos(tmp_path)
    manifest = make_manifest(source, DataConfig())
    originals_of = {split: {row.path[2:5] for row in manifest.of_split(split)} for split in ("train", "validation")}
    assert len(originals_of["train"] & originals_of["validation"]) <= 0.01 * len(manifest.rows)

    # A nearest neighbor in all eight orientations, which knows every copy of a training photo.
    thumbnails = {photo.path: np.frombuffer(photo.thumbnail, np.uint8).reshape(32, 32) for photo in scan(source)}
    train, validation = manifest.of_split("train"), manifest.of_split("validation")
    references = np.stack([thumbnails[row.path] for row in train]).astype(np.float32)
    y_true, y_pred = manifest.labels(validation), []
    for row in validation:
        picture = thumbnails[row.path].astype(np.float32)
        versions = [np.rot90(flipped, turns) for flipped in (picture, picture.T) for turns in range(4)]
        distances = np.min([((references - version) ** 2).sum(axis=(1, 2)) for version in versions], axis=0)
        y_pred.append(manifest.class_names.index(train[int(distances.argmin())].label))
    # Copies of one photo are right or wrong together, so the number of photos counts: 0.5 and four standard errors.
    limit = 0.5 + 4 * 0.5 / np.sqrt(len(originals_of["validation"]))
    assert np.mean(y_true == y_pred) < limit
