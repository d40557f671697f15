"""Cats and dogs drawn by code: a sample to train on when there are no photographs, and the pictures that test a bundle.

Scene, light, colors, fur, pose, size and position are drawn at random in the same way for both kinds, so that only the
shape of the animal distinguishes them. Each image has a generator of its own: equal seeds give equal images, and the
order of the random draws in this file is part of the result.
"""

import colorsys
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from dogvscat.atomic import wrap_write_errors, write_text
from dogvscat.errors import WriteError
from dogvscat.photos.drawing.animals import POSES, Kind, draw_animal
from dogvscat.photos.drawing.brush import Brush, Color
from dogvscat.photos.reading.sources import SYNTHETIC_MARKER
from dogvscat.stderr import track

KINDS: tuple[Kind, Kind] = ("cat", "dog")
_FUR_COLORS: list[Color] = [
    (62, 56, 56),
    (120, 116, 116),
    (176, 174, 170),
    (120, 82, 54),
    (176, 122, 74),
    (218, 146, 78),
    (226, 196, 150),
    (238, 232, 222),
]
_NOTE = (
    "The pictures in this folder were drawn by code (dogvscat sample). They are not photographs:\n"
    "what a network learns from them says nothing about how well it does on real cats and dogs.\n"
)


def draw(kind: Kind, seed: int, image_size: int) -> Image.Image:
    """A drawn cat or dog.

    Args:
        kind: Which of the two.
        seed: Equal seeds give equal images; non-negative.
        image_size: Side of the square image, in pixels.

    Returns:
        An RGB image.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    side = 2 * image_size  # drawn at twice the size and reduced, which smooths the edges
    canvas = _draw_backdrop(rng, image_size).resize((side, side))
    pose = str(rng.choice(list(POSES)))
    fur = _draw_fur(rng, image_size).resize((side, side))
    placement = _random_placement(rng, pose, side)
    accent = _FUR_COLORS[rng.integers(5, len(_FUR_COLORS))]  # one of the light ones
    brush = Brush(canvas, fur, placement, rng, accent)
    _draw_shadow(canvas, brush, pose)
    draw_animal(brush, kind, pose)
    _draw_foreground(rng, canvas, brush, pose)
    return _add_camera_effects(rng, canvas.resize((image_size, image_size), Image.Resampling.LANCZOS))


def write_sample(folder: Path, count: int, seed: int = 0, image_size: int = 160) -> None:
    """Write drawn images as `cat/0001.jpg` and so on, with a note that they are drawn.

    Args:
        folder: Absent or empty; nothing appears in it before all images are finished.
        count: Number of images, half of each kind.
        seed: Equal seeds give equal samples.
        image_size: Height of the images, in pixels; the width varies around it.

    Raises:
        WriteError: if the folder is not empty or cannot be written to.
    """
    unfinished = folder / ".unfinished"
    with wrap_write_errors(folder):
        if folder.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)  # left behind by an interrupted call
        if folder.exists() and any(folder.iterdir()):
            raise WriteError(f"{folder} is not empty", hint="Choose a new or an empty folder.")
        try:
            for kind in KINDS:
                (unfinished / kind).mkdir(parents=True)
            for path, data in track(_draw_sample(count, seed, image_size), "drawing", count):
                (unfinished / path).write_bytes(data)
            write_text(folder / SYNTHETIC_MARKER, _NOTE)
            for kind in KINDS:  # the dogs last: where their folder is, the sample is complete
                (unfinished / kind).rename(folder / kind)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def golden_pictures(image_size: int) -> list[Image.Image]:
    """Six fixed drawn images, three of each kind, of sizes and aspect ratios around `image_size`."""
    # Width and height as multiples of image_size: square, wide, tall, too small, large, and slightly narrow.
    shapes = [(1.0, 1.0), (1.5, 1.0), (1.0, 1.5), (0.5, 0.5), (2.0, 1.6), (0.8, 1.0)]
    images = []
    for seed, (width, height) in enumerate(shapes):
        image = draw(KINDS[seed % 2], seed, image_size * 2)
        size = (round(image_size * width), round(image_size * height))
        images.append(image.resize(size, Image.Resampling.LANCZOS))
    return images


def _draw_sample(count: int, seed: int, image_size: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        kind = KINDS[number % 2]
        # Hashing seed and number keeps the images of neighboring seeds unrelated, unlike seed + number.
        image_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        rng = np.random.default_rng(image_seed)
        width = int(image_size * rng.uniform(0.85, 1.3))
        image = draw(kind, image_seed, image_size).resize((width, image_size), Image.Resampling.LANCZOS)
        data = BytesIO()
        image.save(data, "JPEG", quality=int(rng.integers(75, 95)))
        yield f"{kind}/{number // 2 + 1:04}.jpg", data.getvalue()


def _random_placement(rng: np.random.Generator, pose: str, side: int) -> np.ndarray:
    """A random position, size, small turn and direction for the animal: from head radii to pixels, float64 (2, 3)."""
    left, top, right, bottom = POSES[pose]
    scale = rng.uniform(0.6, 1.05) * side / max(right - left, bottom - top)
    # How far the animal's middle may lie from the middle of the image, in x and y. At least 6% of the side, so that a
    # large animal is cut off by the edge now and then.
    slack = np.maximum(0.12 * side, side - scale * np.array([right - left, bottom - top])) / 2
    x, y = side / 2 + rng.uniform(-1, 1, size=2) * slack
    # Only the brush's arithmetic is needed, so its images are dummies. The last step turns the animal about the middle
    # of its box instead of the middle of its head.
    brush = Brush(Image.new("RGB", (1, 1)), Image.new("RGB", (1, 1)), np.eye(3)[:2], rng)
    turned = brush.transformed(x, y, scale, rng.uniform(-14, 14), mirrored=bool(rng.random() < 0.5))
    return turned.transformed(-(left + right) / 2, -(top + bottom) / 2, 1.0).to_pixels


def _random_color(rng: np.random.Generator) -> Color:
    hue, saturation, value = rng.integers(256), rng.integers(10, 140), rng.uniform(100, 245)
    red, green, blue = colorsys.hsv_to_rgb(hue / 255, saturation / 255, value)
    return round(red), round(green), round(blue)


def _smooth_noise(rng: np.random.Generator, cells: int, side: int) -> np.ndarray:
    """Smooth random values of about -1 to 1; float32 (side, side). More cells make finer structure."""
    small = Image.fromarray(rng.uniform(-1, 1, size=(cells, cells)).astype(np.float32))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def _draw_backdrop(rng: np.random.Generator, side: int) -> Image.Image:
    """A gradient between two colors, a floor, texture and clutter."""
    first, second = np.array(_random_color(rng)), np.array(_random_color(rng))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5  # each (side, side), -0.5 to 0.5
    weight = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]  # (side, side, 1)
    canvas = Image.fromarray((first * weight + second * (1 - weight)).astype(np.uint8))
    pen = ImageDraw.Draw(canvas)
    if rng.random() < 0.7:
        height = side * rng.uniform(0.5, 0.85)
        pen.polygon(
            [(0, height), (side, height + side * rng.uniform(-0.08, 0.08)), (side, side), (0, side)], _random_color(rng)
        )
    for _ in range(rng.integers(0, 9)):
        _draw_clutter(rng, pen, side)
    # Coarse, middle and fine noise; the clutter is blurred, the texture is not.
    texture = sum(rng.uniform(0, 14) * _smooth_noise(rng, cells, side) for cells in (4, 12, 40))
    pixels = (
        np.asarray(canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0, side / 60)))) + np.asarray(texture)[..., None]
    )
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _draw_clutter(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    x, y = rng.uniform(-0.1, 1.1, size=2) * side
    width, height = rng.uniform(0.03, 0.3, size=2) * side
    match rng.integers(4):
        case 0:
            pen.ellipse((x, y, x + width, y + height), _random_color(rng))
        case 1:
            pen.rectangle((x, y, x + width, y + height), _random_color(rng))
        case 2:  # as pointed as ears, so that not every pointed shape is a cat
            pen.polygon([(x, y), (x + width, y), (x + width * rng.random(), y - height)], _random_color(rng))
        case _:  # as thin as whiskers, for the same reason
            pen.line((x, y, x + width * 3, y + height * rng.uniform(-3, 3)), _random_color(rng), max(1, side // 100))


def _draw_fur(rng: np.random.Generator, side: int) -> Image.Image:
    """A sheet of plain, striped, spotted or patched fur."""
    base, second = (
        np.array(_FUR_COLORS[index], dtype=np.float32) for index in rng.choice(len(_FUR_COLORS), 2, replace=False)
    )
    warp = _smooth_noise(rng, 5, side)  # bends the stripes and shades the sheet
    y, x = np.mgrid[0:side, 0:side] / side
    weight = np.zeros((side, side))  # of the second color at each pixel
    match rng.integers(4):
        case 0:  # stripes
            angle = rng.uniform(0, np.pi)
            waves = (x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(25, 60) + 2.5 * warp
            weight[np.sin(waves) > 0.45] = 0.6
        case 1:  # spots
            weight[_smooth_noise(rng, int(rng.integers(12, 24)), side) > 0.35] = 1
        case 2:  # patches
            weight[_smooth_noise(rng, int(rng.integers(3, 7)), side) > 0.15] = 1
        case _:  # plain
            pass
    fur = base + (second - base) * weight[..., None]  # (side, side, 3)
    hair = 9 * _smooth_noise(rng, side // 2, side) + 12 * warp
    return Image.fromarray(np.clip(fur + hair[..., None], 0, 255).astype(np.uint8))


def _draw_shadow(canvas: Image.Image, brush: Brush, pose: str) -> None:
    if pose == "portrait":  # its body continues below the image
        return
    left, _, right, bottom = POSES[pose]
    mask = Image.new("L", canvas.size)
    middle, half = (left + right) / 2, (right - left) / 2
    angles = np.linspace(0, 2 * np.pi, 30)
    outline = [(middle + half * np.cos(angle), bottom - 0.2 + 0.25 * np.sin(angle)) for angle in angles]
    ImageDraw.Draw(mask).polygon(brush.project(outline), fill=110)  # opacity out of 255
    canvas.paste((0, 0, 0), mask=mask.filter(ImageFilter.GaussianBlur(0.15 * brush.head_radius)))


def _draw_foreground(rng: np.random.Generator, canvas: Image.Image, brush: Brush, pose: str) -> None:
    """Sometimes grass, a board or a ball in front of the animal, but never over the middle of its head."""
    side = canvas.size[0]
    head = brush.project([(0.0, 0.0)])[0]
    clear = head[1] + 1.3 * brush.head_radius  # the row, in pixels, above which nothing is drawn
    pen = ImageDraw.Draw(canvas)
    match rng.integers(6):
        case 0:  # grass
            color, low = _random_color(rng), max(clear, 0.75 * side)
            for x in np.arange(0, side, side / 45):
                tip = low + rng.uniform(0, 0.2) * side
                pen.polygon([(x, side), (x + side / 60, side), (x + rng.uniform(-0.03, 0.03) * side, tip)], color)
        case 1:  # a board
            edge = max(clear, rng.uniform(0.6, 0.95) * side)
            pen.rectangle((0, edge, side, side), _random_color(rng))
        case 2:  # a ball
            radius = rng.uniform(0.05, 0.12) * side
            x, y = rng.uniform(0, side), max(clear + radius, rng.uniform(0.7, 1.0) * side)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), _random_color(rng))
        case _:
            pass


def _add_camera_effects(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Light from one side, exposure, noise, saturation and blur."""
    side = image.size[0]
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.45) * (x * np.cos(angle) + y * np.sin(angle))
    pixels = np.asarray(image) * (light * rng.uniform(0.8, 1.2))[..., None]
    pixels = pixels + rng.normal(0, rng.uniform(0, 9), size=pixels.shape)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    # One image in ten may lose its color completely.
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.0 if rng.random() < 0.1 else 0.6, 1.2))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, side / 160)))
