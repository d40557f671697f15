"""The shapes of drawn cats and dogs: heads from the front and the side, and four poses.

Coordinates are in head radii around the head's centre, y downwards, facing right. Cats get pointed ears, a short
muzzle, whiskers, slit pupils and a long thin tail; dogs hanging ears, a long muzzle with a big nose, round pupils and
a thicker tail. Everything else (fur, colours, pose, place) is common to both.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

Kind = Literal["cat", "dog"]
Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

INK = (38, 30, 30)
_PINK = (236, 150, 150)
_EYES = [(226, 176, 60), (150, 190, 90), (170, 112, 60), (130, 176, 214)]


@dataclass(frozen=True)
class Brush:
    """Where and with what to draw.

    Args:
        canvas: The picture so far, RGB.
        fur: A picture of equal size, wholly covered in fur, from which every furry part is cut.
        to_pixels: float64 (2, 3), from head radii to pixels.
        rng: Decides how this animal differs from the next.
    """

    canvas: Image.Image
    fur: Image.Image
    to_pixels: np.ndarray
    rng: np.random.Generator
    accent: Colour = (240, 230, 220)
    """Lighter fur of muzzle and paws."""
    eyes: Colour = field(default=_EYES[0])

    def at(self, x: float, y: float, scale: float, degrees: float = 0.0, mirrored: bool = False) -> "Brush":
        """The same brush with its origin moved, then scaled, turned and mirrored."""
        cos, sin = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
        move = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])
        if mirrored:
            move[:2, 0] *= -1
        return replace(self, to_pixels=self.to_pixels @ move)

    def pixels(self, points: Points) -> list[tuple[float, float]]:
        placed = np.array([(x, y, 1.0) for x, y in points]) @ self.to_pixels.T
        return [(float(x), float(y)) for x, y in placed]

    @property
    def unit(self) -> float:
        """Pixels in one head radius."""
        return float(np.sqrt(abs(np.linalg.det(self.to_pixels[:, :2]))))

    def furry(self, outline: Points, shade: float = 1.0, smooth: bool = True) -> None:
        """A part covered in fur, with a darker edge."""
        corners = self.pixels(_curve(outline, closed=True) if smooth else outline)
        box = _box(corners, self.canvas.size)
        if box is None:
            return
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        shifted = [(x - box[0], y - box[1]) for x, y in corners]
        ImageDraw.Draw(mask).polygon(shifted, fill=255)
        patch = self.fur.crop(box)
        self.canvas.paste(patch.point(lambda value: min(255, value * shade)), box, mask)
        edge = tuple(int(value * 0.45) for value in patch.resize((1, 1)).getpixel((0, 0)))  # type: ignore[union-attr]
        width = max(1, round(0.045 * self.unit))
        ImageDraw.Draw(self.canvas).line([*corners, corners[0], corners[1]], fill=edge, width=width, joint="curve")

    def filled(self, outline: Points, colour: Colour, smooth: bool = True) -> None:
        """A part of one colour."""
        corners = self.pixels(_curve(outline, closed=True) if smooth else outline)
        ImageDraw.Draw(self.canvas).polygon(corners, fill=colour)

    def oval(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self.filled(_oval(x, y, width, height), colour, smooth=False)

    def line(self, points: Points, width: float, colour: Colour = INK) -> None:
        corners = self.pixels(_curve(points, closed=False))
        ImageDraw.Draw(self.canvas).line(corners, fill=colour, width=max(1, round(width * self.unit)), joint="curve")

    def limb(self, points: Points, start: float, end: float, shade: float = 1.0) -> None:
        """A leg or a tail: a furry stroke along a curve whose half-width goes from `start` to `end`."""
        spine = np.array(_curve(points, closed=False))  # (steps, 2)
        along = np.gradient(spine, axis=0)
        normal = (
            np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
        )
        half = np.linspace(start, end, len(spine))[:, None]
        tip = [tuple(spine[-1] + along[-1] / np.linalg.norm(along[-1]) * end)]
        outline = [*map(tuple, spine + normal * half), *tip, *map(tuple, (spine - normal * half)[::-1])]
        self.furry(outline, shade, smooth=False)

    def vary(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


def draw_animal(brush: Brush, kind: Kind, pose: str) -> None:
    """Draw one animal; `pose` is one of POSES."""
    brush = replace(brush, eyes=_EYES[brush.rng.integers(len(_EYES))])
    _POSES[pose](brush, kind)


def _portrait(brush: Brush, kind: Kind) -> None:
    width = brush.vary(0.9, 1.3)
    brush.furry([(-0.5, 0.5), (0.5, 0.5), (width, 1.5), (width * 1.3, 6.0), (-width * 1.3, 6.0), (-width, 1.5)], 0.9)
    _head(brush, kind)


def _sitting(brush: Brush, kind: Kind) -> None:
    width = brush.vary(0.85, 1.1)
    body = brush.at(0, 1.6, 1.0)
    side = 1 if brush.rng.random() < 0.5 else -1
    _tail(body.at(side * 0.8 * width, 1.4, 1.0, mirrored=side < 0), kind)
    right = [(0.5, -0.85), (0.85 * width, 0.2), (1.15 * width, 1.25), (0.85 * width, 1.75)]
    body.furry([*right, *((-x, y) for x, y in reversed(right))], 0.92)
    for x in (-0.36, 0.36):
        body.limb([(x * 0.9, 0.2), (x, 1.0), (x * 1.05, 1.65)], 0.24, 0.2, 1.02)
        body.oval(x * 1.1, 1.78, 0.27, 0.15, brush.accent)
    _head(brush.at(0, 0, 1.0, brush.vary(-12, 12)), kind)


def _standing(brush: Brush, kind: Kind) -> None:
    body = brush.at(-1.1, 1.1, 1.25)
    _tail(body.at(-1.3, -0.3, 0.9, -25, mirrored=True), kind)
    length, step = brush.vary(0.95, 1.3), brush.vary(-0.3, 0.3)
    for x, lean, shade in ((-0.95, -step, 0.75), (0.75, step, 0.75), (-1.15, step, 0.95), (0.98, -step, 0.95)):
        body.limb([(x, 0.1), (x + lean * 0.4, 0.7), (x + lean, 0.45 + length)], 0.24, 0.13, shade)
        body.oval(x + lean + 0.06, 0.5 + length, 0.2, 0.1, brush.accent)
    chest = 0.5 if kind == "cat" else 0.62
    top = [(-1.45, -0.1), (-1.2, -0.6), (-0.2, -0.58), (0.9, -0.68), (1.3, -0.3)]
    body.furry([*top, (1.2, chest * 0.7), (0.6, chest), (-0.4, 0.38), (-1.2, 0.42)])
    brush.furry([(-0.5, -0.3), (0.3, 0.3), (0.45, 1.0), (-0.4, 1.5), (-0.9, 0.5)], 0.97)
    _any_head(brush, kind)


def _lying(brush: Brush, kind: Kind) -> None:
    body = brush.at(-0.95, 0.75, 1.15)
    _tail(body.at(-1.4, 0.35, 0.8, 25, mirrored=True), kind)
    hump = brush.vary(-0.85, -0.6)
    body.furry([(-1.65, 0.3), (-1.35, -0.4), (-0.4, hump), (0.8, -0.5), (1.3, 0.2), (1.0, 0.68), (-1.3, 0.72)])
    body.line([(-0.4, 0.6), (-0.75, 0.1), (-1.2, 0.2)], 0.05)
    for y, reach in ((0.42, 1.75), (0.58, 1.95)):
        body.limb([(0.6, y), (1.2, y + 0.04), (reach, y + 0.05)], 0.18, 0.15, 0.98)
        body.oval(reach, y + 0.06, 0.15, 0.15, brush.accent)
    _any_head(brush.at(0.1, -0.05, 1.0), kind)


_POSES = {"portrait": _portrait, "sitting": _sitting, "standing": _standing, "lying": _lying}
POSES = {
    "portrait": (-1.4, -1.5, 1.4, 1.6),
    "sitting": (-1.9, -1.5, 1.9, 3.5),
    "standing": (-3.6, -1.4, 1.5, 3.1),
    "lying": (-3.4, -1.4, 1.5, 1.7),
}
"""For each pose the box it fills: left, top, right, bottom."""


def _any_head(brush: Brush, kind: Kind) -> None:
    if brush.rng.random() < 0.5:
        _head(brush.at(0, 0, 1.0, brush.vary(-15, 15)), kind)
    elif kind == "cat":
        _cat_profile(brush.at(0, 0, 1.0, brush.vary(-12, 12)))
    else:
        _dog_profile(brush.at(0, 0, 1.0, brush.vary(-12, 12)))


def _head(brush: Brush, kind: Kind) -> None:
    if kind == "cat":
        _cat_head(brush)
    else:
        _dog_head(brush)


def _tail(brush: Brush, kind: Kind) -> None:
    lift = brush.vary(-0.4, 0.6)
    if kind == "cat":
        curl = brush.vary(-0.5, 0.5)
        brush.limb([(0, 0), (0.8, 0.1), (1.2, -0.5 - lift), (1.1 + curl, -1.2 - lift)], 0.15, 0.09, 0.95)
    else:
        brush.limb([(0, 0), (0.5, -0.15), (0.95, -0.6 - lift)], 0.3, brush.vary(0.1, 0.2), 0.95)


def _cat_head(brush: Brush) -> None:
    ear, spread, cheek = brush.vary(1.3, 1.55), brush.vary(0.72, 0.9), brush.vary(0.92, 1.08)
    for side in (-1, 1):
        brush.furry([(side * 0.95, -0.2), (side * spread, -ear), (side * 0.1, -0.8)], 0.9, smooth=False)
        inner = [(side * 0.8, -0.5), (side * spread * 0.97, -ear * 0.86), (side * 0.34, -0.78)]
        brush.filled(inner, _PINK, smooth=False)
    right = [(0.45, -0.8), (0.85, -0.4), (cheek, 0.15), (0.72, 0.62), (0.3, 0.84)]
    brush.furry([*right, *((-x, y) for x, y in reversed(right))])
    for side in (-1, 1):
        brush.oval(side * 0.19, 0.42, 0.25, 0.2, brush.accent)
        _eye(brush.at(side * 0.43, -0.08, 1.0, side * -10), 0.24, 0.17, slit=True)
        for tilt in (-0.16, 0.0, 0.16):
            end = (side * brush.vary(1.25, 1.5), 0.4 + tilt * 2.2)
            brush.line([(side * 0.3, 0.42 + tilt * 0.5), end], 0.022, (250, 250, 250))
    brush.filled([(-0.12, 0.2), (0.12, 0.2), (0, 0.33)], _nose(brush), smooth=False)
    brush.line([(-0.26, 0.47), (-0.12, 0.53), (0, 0.36), (0.12, 0.53), (0.26, 0.47)], 0.035)


def _dog_head(brush: Brush) -> None:
    drop, flare, muzzle = brush.vary(0.35, 1.1), brush.vary(1.0, 1.35), brush.vary(0.92, 1.12)
    right = [(0.5, -0.86), (0.8, -0.35), (0.74, 0.2), (0.55, 0.75), (0.28, 1.08)]
    brush.furry([*right, *((-x, y) for x, y in reversed(right))])
    for side in (-1, 1):
        ear = [(0.42, -0.86), (0.85, -0.82), (flare, -0.2), (flare, drop), (flare - 0.28, drop + 0.1), (0.74, -0.15)]
        brush.furry([(side * x, y) for x, y in ear], 0.72)
    brush.filled(_oval(0, 0.62, 0.46 * muzzle, 0.45), brush.accent)
    if brush.rng.random() < 0.45:
        brush.filled([(-0.16, 0.82), (0.16, 0.82), (0.17, 1.2), (0, 1.34), (-0.17, 1.2)], (224, 100, 110))
        brush.line([(0, 0.85), (0, 1.15)], 0.03, (190, 70, 80))
    for side in (-1, 1):
        _eye(brush.at(side * 0.36, -0.15, 1.0), 0.17, 0.17, slit=False)
    brush.oval(0, 0.4, 0.25, 0.17, _nose(brush))
    brush.oval(-0.07, 0.34, 0.06, 0.04, (235, 235, 235))
    brush.line([(-0.33, 0.78), (-0.15, 0.86), (0, 0.76), (0.15, 0.86), (0.33, 0.78)], 0.04)
    brush.line([(0, 0.55), (0, 0.76)], 0.04)


def _cat_profile(brush: Brush) -> None:
    ear = brush.vary(1.35, 1.6)
    brush.furry([(0.0, -0.7), (0.42, -ear * 0.92), (0.55, -0.5)], 0.8, smooth=False)
    brush.furry(
        [(-0.75, -0.35), (-0.72, 0.35), (-0.2, 0.8), (0.5, 0.72), (0.88, 0.45), (0.95, 0.18), (0.66, -0.25), (0, -0.85)]
    )
    brush.furry([(-0.62, -0.52), (-0.3, -ear), (0.2, -0.72)], 0.92, smooth=False)
    brush.filled([(-0.42, -0.62), (-0.28, -ear * 0.85), (0.04, -0.72)], _PINK, smooth=False)
    brush.oval(0.66, 0.38, 0.24, 0.18, brush.accent)
    _eye(brush.at(0.38, -0.06, 1.0), 0.17, 0.17, slit=True)
    brush.filled([(0.83, 0.12), (1.0, 0.14), (0.93, 0.28)], _nose(brush), smooth=False)
    brush.line([(0.92, 0.3), (0.82, 0.46), (0.55, 0.5)], 0.035)
    for tilt in (-0.12, 0.0, 0.14):
        brush.line([(0.66, 0.38 + tilt * 0.5), (brush.vary(-0.1, 0.1), 0.5 + tilt * 2.5)], 0.022, (250, 250, 250))


def _dog_profile(brush: Brush) -> None:
    reach, drop = brush.vary(1.45, 1.8), brush.vary(0.4, 0.95)
    skull = [(-0.78, -0.2), (-0.62, 0.45), (-0.1, 0.78), (0.6, 0.66), (reach - 0.15, 0.58), (reach, 0.25)]
    brush.furry([*skull, (reach - 0.3, -0.02), (0.68, -0.12), (0.42, -0.6), (-0.2, -0.86)])
    if brush.rng.random() < 0.4:
        brush.filled([(0.9, 0.5), (1.2, 0.5), (1.28, 0.95), (1.08, 1.05), (0.95, 0.9)], (224, 100, 110))
    brush.oval(reach - 0.04, 0.1, 0.2, 0.16, _nose(brush))
    brush.line([(reach - 0.06, 0.45), (0.9, 0.5), (0.6, 0.38)], 0.04)
    _eye(brush.at(0.38, -0.2, 1.0), 0.15, 0.15, slit=False)
    brush.furry([(-0.5, -0.75), (0.05, -0.7), (0.1, 0.0), (-0.1, drop), (-0.5, drop), (-0.72, 0.0)], 0.72)


def _eye(brush: Brush, width: float, height: float, slit: bool) -> None:
    brush.oval(0, 0, width + 0.045, height + 0.045, INK)
    brush.oval(0, 0, width, height, brush.eyes)
    if slit:
        brush.oval(0, 0, 0.05, height * 0.9, (10, 10, 10))
    else:
        brush.oval(0, 0, width * 0.68, height * 0.68, (10, 10, 10))
    brush.oval(-0.05, -height * 0.4, 0.04, 0.04, (255, 255, 255))


def _nose(brush: Brush) -> Colour:
    return INK if brush.rng.random() < 0.6 else (190, 104, 104)


def _oval(x: float, y: float, width: float, height: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    return [(x + width * float(np.cos(angle)), y + height * float(np.sin(angle))) for angle in angles]


def _curve(points: Points, closed: bool, steps: int = 8) -> Points:
    """A Catmull-Rom spline through the points."""
    knots = np.array(points, dtype=np.float64)
    if len(knots) < 3:
        return points
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (knots[start : len(knots) - 3 + start, None] for start in range(4))  # (segments, 1, 2)
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    path = curve.reshape(-1, 2)
    return [(float(x), float(y)) for x, y in (path if closed else [*path, knots[-2]])]


def _box(corners: Points, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    xs, ys = zip(*corners, strict=True)
    left, top = max(0, int(min(xs))), max(0, int(min(ys)))
    right, bottom = min(size[0], int(max(xs)) + 2), min(size[1], int(max(ys)) + 2)
    return (left, top, right, bottom) if left < right and top < bottom else None
