"""The brush that draws parts of an animal: it places points given in head radii, then fills and strokes them.

A part is given by a few points. Those of a smooth outline are joined by a spline, so that ten numbers make a head.
"""

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
"""Red, green and blue, each in 0..255."""
Points = list[tuple[float, float]]
"""x and y of each point, in head radii or in pixels; y grows downwards."""

INK = (38, 30, 30)
"""The dark brown of lines, pupils' rims and most noses."""


@dataclass(frozen=True)
class Brush:
    """Where and with what to draw.

    Args:
        canvas: The image so far, RGB.
        fur: An image of equal size, completely covered in fur; every furry part is cut out of it.
        to_pixels: float64 (2, 3), from homogeneous coordinates in head radii to pixels.
        rng: Decides how this animal differs from the next.
    """

    canvas: Image.Image
    fur: Image.Image
    to_pixels: np.ndarray
    rng: np.random.Generator
    accent: Color = (240, 230, 220)
    """Lighter fur of muzzle and paws."""
    eyes: Color = field(default=(226, 176, 60))

    def transformed(self, x: float, y: float, scale: float, degrees: float = 0.0, mirrored: bool = False) -> "Brush":
        """The same brush with its origin moved to (x, y), then scaled, turned and mirrored."""
        cos, sin = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
        # Three rows, so that it can be multiplied; the product is (2, 3) again. Changes apply from right to left.
        change = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])
        if mirrored:
            change[:2, 0] *= -1  # the x axis points the other way
        return replace(self, to_pixels=self.to_pixels @ change)

    def project(self, points: Points) -> Points:
        """Points in head radii as pixels of the canvas."""
        projected = np.array([(x, y, 1.0) for x, y in points]) @ self.to_pixels.T  # (num_points, 2)
        return [(float(x), float(y)) for x, y in projected]

    @property
    def head_radius(self) -> float:
        """The length of one head radius, in pixels."""
        # The determinant is the factor by which areas grow; turning and mirroring do not change its size.
        return float(np.sqrt(abs(np.linalg.det(self.to_pixels[:, :2]))))

    def fill_fur(self, outline: Points, shade: float = 1.0, smooth: bool = True) -> None:
        """A part covered in fur, with a darker edge."""
        corners = self.project(_spline(outline, closed=True) if smooth else outline)
        box = _bounding_box(corners, self.canvas.size)
        if box is None:
            return
        # Mask and fur are made for the part's box only: on the whole canvas each part would take many times as long.
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        shifted = [(x - box[0], y - box[1]) for x, y in corners]
        ImageDraw.Draw(mask).polygon(shifted, fill=255)
        patch = self.fur.crop(box)
        self.canvas.paste(patch.point(lambda value: min(255, value * shade)), box, mask)
        mean_color = cast(Color, patch.resize((1, 1)).getpixel((0, 0)))  # one pixel averages the patch
        edge = tuple(int(value * 0.45) for value in mean_color)
        width = max(1, round(0.045 * self.head_radius))
        # The second corner is repeated, so that the line has no gap where it closes.
        ImageDraw.Draw(self.canvas).line([*corners, corners[0], corners[1]], fill=edge, width=width, joint="curve")

    def fill(self, outline: Points, color: Color, smooth: bool = True) -> None:
        """A part of one color."""
        corners = self.project(_spline(outline, closed=True) if smooth else outline)
        ImageDraw.Draw(self.canvas).polygon(corners, fill=color)

    def fill_oval(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """An ellipse about (x, y); width and height are its half-axes."""
        self.fill(oval(x, y, width, height), color, smooth=False)

    def stroke(self, points: Points, width: float, color: Color = INK) -> None:
        """A smooth line through the points, of a width in head radii."""
        corners = self.project(_spline(points, closed=False))
        width_pixels = max(1, round(width * self.head_radius))
        ImageDraw.Draw(self.canvas).line(corners, fill=color, width=width_pixels, joint="curve")

    def draw_limb(self, points: Points, start: float, end: float, shade: float = 1.0) -> None:
        """A leg or a tail: a furry stroke along a curve whose half-width changes from `start` to `end`."""
        spine = np.array(_spline(points, closed=False))  # (num_steps, 2)
        along = np.gradient(spine, axis=0)  # the direction at each step, (num_steps, 2)
        lengths = np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / lengths  # at right angles to it
        half_width = np.linspace(start, end, len(spine))[:, None]
        tip = [tuple(spine[-1] + along[-1] / np.linalg.norm(along[-1]) * end)]
        # Down one side, around the tip, and back up the other side.
        outline = [*map(tuple, spine + normal * half_width), *tip, *map(tuple, (spine - normal * half_width)[::-1])]
        self.fill_fur(outline, shade, smooth=False)

    def uniform(self, low: float, high: float) -> float:
        """A random number between the two."""
        return float(self.rng.uniform(low, high))


def oval(x: float, y: float, width: float, height: float) -> Points:
    """32 points on an ellipse about (x, y); width and height are its half-axes."""
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    return [(x + width * float(np.cos(angle)), y + height * float(np.sin(angle))) for angle in angles]


def _spline(points: Points, closed: bool, steps: int = 8) -> Points:
    """A Catmull-Rom spline: a smooth curve through all of the points, with `steps` points in each segment.

    Source: Catmull and Rom, A Class of Local Interpolating Splines, 1974.
    """
    knots = np.array(points, dtype=np.float64)
    if len(knots) < 3:
        return points
    # Each segment needs the knots before and after it: those of a closed curve wrap around, those at the ends of an
    # open one are mirrored.
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]  # position within a segment, (1, steps, 1)
    a, b, c, d = (knots[start : len(knots) - 3 + start, None] for start in range(4))  # each (num_segments, 1, 2)
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    path = curve.reshape(-1, 2)
    return [(float(x), float(y)) for x, y in (path if closed else [*path, knots[-2]])]


def _bounding_box(corners: Points, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The box around the corners, cut at the edges of the canvas; None if nothing is left."""
    xs, ys = zip(*corners, strict=True)
    left, top = max(0, int(min(xs))), max(0, int(min(ys)))
    right, bottom = min(size[0], int(max(xs)) + 2), min(size[1], int(max(ys)) + 2)
    return (left, top, right, bottom) if left < right and top < bottom else None
