"""Which copies of a photo are found, and how many strangers are mistaken for copies?

    python benchmarks/copies.py made PHOTOS --photos 1000
    python benchmarks/copies.py strangers PHOTOS --out FOLDER
    python benchmarks/copies.py time PHOTOS --before ../dogvscat-before --repeats 5

`made` draws photos at random and changes a copy of each in one way at a time. It prints the share of copies that are in
one group with their original, and the number of groups that hold two originals. `strangers` groups all photos as they
are, and writes the pairs that only landmarks connect side by side, for a person to look at. `time` audits the photos
with two checkouts in turn, each with empty caches, and prints the ratio of each pair of times: wall-clock time, and CPU
time, which other work on the machine disturbs less.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from dogvscat.judging.intervals import as_percent, wilson
from dogvscat.photos.duplicates import group_names, near_duplicates
from dogvscat.photos.reading.sources import PhotoSource, open_photos
from dogvscat.photos.scan import scan

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
TILE = 180
"""Side of the pictures on the pages of pairs, in pixels."""


def main() -> None:
    """Run the chosen measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("made", "strangers", "time"):
        commands.add_parser(name).add_argument("photos", type=Path)
    commands.choices["made"].add_argument("--photos", type=int, default=1000, dest="count")
    commands.choices["strangers"].add_argument("--out", type=Path, required=True)
    commands.choices["time"].add_argument("--before", type=Path, required=True, help="a checkout of an older commit")
    commands.choices["time"].add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.command == "time":
        compare_times(arguments.photos, arguments.before, arguments.repeats)
        return
    source = open_photos(arguments.photos)
    if arguments.command == "made":
        measure_made_copies(source, arguments.count)
    else:
        show_strangers(source, arguments.out)


# --- Made copies


def measure_made_copies(source: PhotoSource, count: int) -> None:
    """Print one row per change."""
    usable = [photo.path for photo in scan(source) if not photo.error_code]
    chosen = np.random.default_rng(0).permutation(len(usable))[:count]
    originals = [Image.open(io.BytesIO(source.read(usable[index]))).convert("RGB") for index in chosen]
    print("| change | found (95%) | groups with two originals |\n|---|---|---|")
    for name, change in CHANGES.items():
        num_found, num_mixed = count_found(originals, change)
        print(f"| {name} | {as_percent(wilson(num_found, len(originals)))} | {num_mixed} |", flush=True)
    print(f"\nn = {len(originals):,} for each change")


def count_found(originals: list[Image.Image], change: Change) -> tuple[int, int]:
    """How many changed copies are in one group with their original, and how many groups hold two originals."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        os.environ["DOGVSCAT_HOME"] = home
        for kind in ("original", "copy"):
            Path(folder, kind).mkdir()
        for number, original in enumerate(originals):
            original.save(Path(folder, "original", f"{number:05}.jpg"), quality=92)
            change(original, rng).convert("RGB").save(Path(folder, "copy", f"{number:05}.jpg"), quality=88)
        scanned = scan(open_photos(Path(folder)))
        groups = group_names(scanned, near_duplicates(scanned))
    numbers_by_group: dict[str, list[str]] = defaultdict(list)
    for photo, group in zip(scanned, groups, strict=True):
        numbers_by_group[group].append(Path(photo.path).stem)
    num_found = sum(numbers.count(number) == 2 for numbers in numbers_by_group.values() for number in set(numbers))
    return num_found, sum(len(set(numbers)) > 1 for numbers in numbers_by_group.values())


def transposed(method: Image.Transpose) -> Change:
    """Mirrored or turned."""
    return lambda image, rng: image.transpose(method)


def cropped(share: float) -> Change:
    """With this share cut off at each side."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        x, y = round(image.width * share), round(image.height * share)
        return image.crop((x, y, image.width - x, image.height - y))

    return change


def cropped_unequally(least: float, most: float) -> Change:
    """With a different share cut off at each side, drawn from `least` to `most`."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        left, top, right, bottom = rng.uniform(least, most, size=4)
        width, height = image.size
        return image.crop(
            (round(left * width), round(top * height), round(width * (1 - right)), round(height * (1 - bottom)))
        )

    return change


def shifted(share: float, fill: str | None = None) -> Change:
    """Moved by this share of the side in both directions. The bars that appear at two sides have the color `fill`, or
    are cut off if there is none."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        x, y = (int(size * share) * int(rng.choice([-1, 1])) for size in image.size)
        if fill is None:
            return image.crop((max(x, 0), max(y, 0), image.width + min(x, 0), image.height + min(y, 0)))
        moved = Image.new("RGB", image.size, fill)
        moved.paste(image, (x, y))
        return moved

    return change


def framed(share: float, color: str) -> Change:
    """With a frame whose width is this share of the picture's width."""
    return lambda image, rng: ImageOps.expand(image, round(share * image.width), color)


def rotated(degrees: float) -> Change:
    """Turned to either side, with black corners."""
    return lambda image, rng: image.rotate(degrees * int(rng.choice([-1, 1])), Image.Resampling.BILINEAR)


def noisy(spread: float) -> Change:
    """With Gaussian noise of this standard deviation."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(pixels + rng.normal(0, spread, pixels.shape), 0, 255).astype(np.uint8))

    return change


def augmented(most_degrees: float) -> Change:
    """As training sets are enlarged: mirrored or not, turned, cropped, brighter or darker, noisy, all at once."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        image = image.rotate(rng.uniform(-most_degrees, most_degrees), Image.Resampling.BILINEAR, fillcolor="gray")
        image = cropped_unequally(0, 0.1)(image, rng)
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2))
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.5, 1.5))
        return noisy(6)(image, rng)

    return change


def in_turn(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for step in changes:
            image = step(image, rng)
        return image

    return change


MIRROR = transposed(Image.Transpose.FLIP_LEFT_RIGHT)
CHANGES: dict[str, Change] = {
    "saved again": lambda image, rng: image,
    "mirrored": MIRROR,
    "turned by 90 degrees": transposed(Image.Transpose.ROTATE_90),
    "turned by 180 degrees": transposed(Image.Transpose.ROTATE_180),
    "turned by 270 degrees": transposed(Image.Transpose.ROTATE_270),
    "mirrored and turned": transposed(Image.Transpose.TRANSPOSE),
    "inverted": lambda image, rng: ImageOps.invert(image),
    "framed, 3% black": framed(0.03, "black"),
    "framed, 5% white": framed(0.05, "white"),
    "framed, 10% red": framed(0.10, "red"),
    "framed, 20% black": framed(0.20, "black"),
    "cropped by 2% per side": cropped(0.02),
    "cropped by 5% per side": cropped(0.05),
    "cropped by 8% per side": cropped(0.08),
    "cropped by 10% per side": cropped(0.10),
    "cropped by 15% per side": cropped(0.15),
    "cropped by 5 to 15%, each side differently": cropped_unequally(0.05, 0.15),
    "shifted by 1%": shifted(0.01),
    "shifted by 2%": shifted(0.02),
    "shifted by 4%": shifted(0.04),
    "shifted by 8%": shifted(0.08),
    "shifted by 4%, black bars": shifted(0.04, "black"),
    "shifted by 8%, white bars": shifted(0.08, "white"),
    "noisy, standard deviation 15": noisy(15),
    "mirrored, cropped by 5% per side": in_turn(MIRROR, cropped(0.05)),
    "inverted, cropped by 10% per side": in_turn(lambda image, rng: ImageOps.invert(image), cropped(0.10)),
    "framed, then cropped by 5% per side": in_turn(framed(0.08, "white"), cropped(0.03)),
    "rotated by 5 degrees": rotated(5),
    "rotated by 15 degrees": rotated(15),
    "augmented, no rotation": augmented(0),
    "augmented, up to 10 degrees": augmented(10),
    "augmented, up to 20 degrees": augmented(20),
}


# --- Strangers


def show_strangers(source: PhotoSource, out: Path) -> None:
    """Count the pairs, and write those that only landmarks connect as pages of pictures side by side."""
    scanned = scan(source)
    pairs = near_duplicates(scanned)
    by_landmarks = [pair for pair in pairs if pair.bits is None]
    photos = {index for pair in by_landmarks for index in (pair.first, pair.second)}
    print(f"{len(scanned):,} photos, {len(pairs) - len(by_landmarks)} pairs with similar hashes")
    print(f"{len(by_landmarks)} more pairs by landmarks, of {len(photos)} photos")
    out.mkdir(parents=True, exist_ok=True)
    for page in range(0, len(by_landmarks), 24):
        sheet = Image.new("RGB", (8 * (TILE + 4), 6 * (TILE + 4)), "white")
        for position, pair in enumerate(by_landmarks[page : page + 24]):
            row, column = divmod(position, 4)
            for side, index in enumerate((pair.first, pair.second)):
                image = Image.open(io.BytesIO(source.read(scanned[index].path))).convert("RGB").resize((TILE, TILE))
                sheet.paste(image, ((2 * column + side) * (TILE + 4) - 4 * side, row * (TILE + 4)))
        sheet.save(out / f"pairs-{page // 24 + 1:02}.jpg", quality=85)
    for pair in by_landmarks:
        print(scanned[pair.first].path, scanned[pair.second].path)


# --- Time


def compare_times(photos: Path, before: Path, repeats: int) -> None:
    """Print the time of the whole audit with both checkouts, in turn."""
    now = Path(__file__).resolve().parents[1]
    ratios: list[np.ndarray] = []
    for repeat in range(repeats):
        order = (before.resolve(), now) if repeat % 2 else (now, before.resolve())
        seconds = {checkout: audit_seconds(checkout, photos) for checkout in order}
        ratios.append(seconds[now] / seconds[before.resolve()])
        (wall_before, cpu_before), (wall_now, cpu_now) = seconds[before.resolve()], seconds[now]
        print(f"before {wall_before:.1f} s (CPU {cpu_before:.1f} s), now {wall_now:.1f} s (CPU {cpu_now:.1f} s)")
        print(f"ratio {ratios[-1][0]:.2f} (CPU {ratios[-1][1]:.2f})", flush=True)
    median = np.median(ratios, axis=0)
    print(f"median ratio of {repeats} pairs: {median[0]:.2f} (CPU {median[1]:.2f})")


def audit_seconds(checkout: Path, photos: Path) -> np.ndarray:
    """Wall-clock and CPU seconds of `dogvscat audit PHOTOS --out FOLDER` with empty caches: float64 (2,)."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "DOGVSCAT_HOME": home}
        command = [sys.executable, "-m", "dogvscat", "audit", str(photos), "--out", f"{home}/audit"]
        started = time.perf_counter(), _children_cpu_seconds()
        subprocess.run(command, env=environment, check=True, capture_output=True, cwd=home)
        return np.array([time.perf_counter() - started[0], _children_cpu_seconds() - started[1]])


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
