"""The shapes of drawn cats and dogs: heads from the front and the side, and four poses.

Coordinates are in head radii around the head's center, y downwards, facing right. Cats get pointed ears, a short
muzzle, whiskers, slit pupils and a long thin tail; dogs hanging ears, a long muzzle with a big nose, round pupils and
a thicker tail. Everything else (fur, colors, pose, position) is common to both.
"""

from dataclasses import replace
from typing import Literal

from dogvscat.photos.drawing.brush import INK, Brush, Color, oval

Kind = Literal["cat", "dog"]

_PINK = (236, 150, 150)
_TONGUE = (224, 100, 110)
_WHISKER = (250, 250, 250)
_PUPIL = (10, 10, 10)
_EYE_COLORS = [(226, 176, 60), (150, 190, 90), (170, 112, 60), (130, 176, 214)]


def draw_animal(brush: Brush, kind: Kind, pose: str) -> None:
    """Draw one animal; `pose` is one of POSES.

    Parts are painted back to front: what is drawn later covers what is drawn before. The order of the random draws is
    part of the result, so moving a line changes every image of the same seed.
    """
    brush = replace(brush, eyes=_EYE_COLORS[brush.rng.integers(len(_EYE_COLORS))])
    _DRAW_POSE[pose](brush, kind)


def _draw_portrait(brush: Brush, kind: Kind) -> None:
    width = brush.uniform(0.9, 1.3)
    brush.fill_fur([(-0.5, 0.5), (0.5, 0.5), (width, 1.5), (width * 1.3, 6.0), (-width * 1.3, 6.0), (-width, 1.5)], 0.9)
    _draw_head(brush, kind)


def _draw_sitting(brush: Brush, kind: Kind) -> None:
    width = brush.uniform(0.85, 1.1)
    body = brush.transformed(0, 1.6, 1.0)  # its origin is the middle of the trunk
    side = 1 if brush.rng.random() < 0.5 else -1
    _draw_tail(body.transformed(side * 0.8 * width, 1.4, 1.0, mirrored=side < 0), kind)
    # Only the right half of the outline is given; the left half is its mirror image, from bottom to top.
    right = [(0.5, -0.85), (0.85 * width, 0.2), (1.15 * width, 1.25), (0.85 * width, 1.75)]
    body.fill_fur([*right, *((-x, y) for x, y in reversed(right))], 0.92)
    for x in (-0.36, 0.36):
        body.draw_limb([(x * 0.9, 0.2), (x, 1.0), (x * 1.05, 1.65)], 0.24, 0.2, 1.02)
        body.fill_oval(x * 1.1, 1.78, 0.27, 0.15, brush.accent)
    _draw_head(brush.transformed(0, 0, 1.0, brush.uniform(-12, 12)), kind)


def _draw_standing(brush: Brush, kind: Kind) -> None:
    body = brush.transformed(-1.1, 1.1, 1.25)
    _draw_tail(body.transformed(-1.3, -0.3, 0.9, -25, mirrored=True), kind)
    length, step = brush.uniform(0.95, 1.3), brush.uniform(-0.3, 0.3)
    # The two far legs come first and darker, then the two near ones; the diagonal pairs step together.
    for x, lean, shade in ((-0.95, -step, 0.75), (0.75, step, 0.75), (-1.15, step, 0.95), (0.98, -step, 0.95)):
        body.draw_limb([(x, 0.1), (x + lean * 0.4, 0.7), (x + lean, 0.45 + length)], 0.24, 0.13, shade)
        body.fill_oval(x + lean + 0.06, 0.5 + length, 0.2, 0.1, brush.accent)
    chest = 0.5 if kind == "cat" else 0.62
    top = [(-1.45, -0.1), (-1.2, -0.6), (-0.2, -0.58), (0.9, -0.68), (1.3, -0.3)]
    body.fill_fur([*top, (1.2, chest * 0.7), (0.6, chest), (-0.4, 0.38), (-1.2, 0.42)])
    # The neck joins the trunk, which has coordinates of its own, to the head.
    brush.fill_fur([(-0.5, -0.3), (0.3, 0.3), (0.45, 1.0), (-0.4, 1.5), (-0.9, 0.5)], 0.97)
    _draw_any_head(brush, kind)


def _draw_lying(brush: Brush, kind: Kind) -> None:
    body = brush.transformed(-0.95, 0.75, 1.15)
    _draw_tail(body.transformed(-1.4, 0.35, 0.8, 25, mirrored=True), kind)
    hump = brush.uniform(-0.85, -0.6)
    body.fill_fur([(-1.65, 0.3), (-1.35, -0.4), (-0.4, hump), (0.8, -0.5), (1.3, 0.2), (1.0, 0.68), (-1.3, 0.72)])
    # A line for the folded hind leg, then the two front legs stretched out.
    body.stroke([(-0.4, 0.6), (-0.75, 0.1), (-1.2, 0.2)], 0.05)
    for y, reach in ((0.42, 1.75), (0.58, 1.95)):
        body.draw_limb([(0.6, y), (1.2, y + 0.04), (reach, y + 0.05)], 0.18, 0.15, 0.98)
        body.fill_oval(reach, y + 0.06, 0.15, 0.15, brush.accent)
    _draw_any_head(brush.transformed(0.1, -0.05, 1.0), kind)


_DRAW_POSE = {"portrait": _draw_portrait, "sitting": _draw_sitting, "standing": _draw_standing, "lying": _draw_lying}
POSES = {
    "portrait": (-1.4, -1.5, 1.4, 1.6),
    "sitting": (-1.9, -1.5, 1.9, 3.5),
    "standing": (-3.6, -1.4, 1.5, 3.1),
    "lying": (-3.4, -1.4, 1.5, 1.7),
}
"""The box that each pose fills, in head radii about the head: left, top, right, bottom."""


def _draw_any_head(brush: Brush, kind: Kind) -> None:
    if brush.rng.random() < 0.5:
        _draw_head(brush.transformed(0, 0, 1.0, brush.uniform(-15, 15)), kind)
    elif kind == "cat":
        _draw_cat_profile(brush.transformed(0, 0, 1.0, brush.uniform(-12, 12)))
    else:
        _draw_dog_profile(brush.transformed(0, 0, 1.0, brush.uniform(-12, 12)))


def _draw_head(brush: Brush, kind: Kind) -> None:
    if kind == "cat":
        _draw_cat_head(brush)
    else:
        _draw_dog_head(brush)


def _draw_tail(brush: Brush, kind: Kind) -> None:
    lift = brush.uniform(-0.4, 0.6)
    if kind == "cat":
        curl = brush.uniform(-0.5, 0.5)
        brush.draw_limb([(0, 0), (0.8, 0.1), (1.2, -0.5 - lift), (1.1 + curl, -1.2 - lift)], 0.15, 0.09, 0.95)
    else:
        brush.draw_limb([(0, 0), (0.5, -0.15), (0.95, -0.6 - lift)], 0.3, brush.uniform(0.1, 0.2), 0.95)


def _draw_cat_head(brush: Brush) -> None:
    # Height of the ears, how far apart their tips are, and half the width of the face.
    ear, spread, cheek = brush.uniform(1.3, 1.55), brush.uniform(0.72, 0.9), brush.uniform(0.92, 1.08)
    for side in (-1, 1):
        brush.fill_fur([(side * 0.95, -0.2), (side * spread, -ear), (side * 0.1, -0.8)], 0.9, smooth=False)
        inner = [(side * 0.8, -0.5), (side * spread * 0.97, -ear * 0.86), (side * 0.34, -0.78)]
        brush.fill(inner, _PINK, smooth=False)
    right = [(0.45, -0.8), (0.85, -0.4), (cheek, 0.15), (0.72, 0.62), (0.3, 0.84)]
    brush.fill_fur([*right, *((-x, y) for x, y in reversed(right))])
    for side in (-1, 1):
        brush.fill_oval(side * 0.19, 0.42, 0.25, 0.2, brush.accent)
        _draw_eye(brush.transformed(side * 0.43, -0.08, 1.0, side * -10), 0.24, 0.17, slit=True)
        for tilt in (-0.16, 0.0, 0.16):
            end = (side * brush.uniform(1.25, 1.5), 0.4 + tilt * 2.2)
            brush.stroke([(side * 0.3, 0.42 + tilt * 0.5), end], 0.022, _WHISKER)
    brush.fill([(-0.12, 0.2), (0.12, 0.2), (0, 0.33)], _nose_color(brush), smooth=False)
    brush.stroke([(-0.26, 0.47), (-0.12, 0.53), (0, 0.36), (0.12, 0.53), (0.26, 0.47)], 0.035)


def _draw_dog_head(brush: Brush) -> None:
    # How far the ears hang down, how far they stand out, and the width of the muzzle.
    drop, flare, muzzle = brush.uniform(0.35, 1.1), brush.uniform(1.0, 1.35), brush.uniform(0.92, 1.12)
    right = [(0.5, -0.86), (0.8, -0.35), (0.74, 0.2), (0.55, 0.75), (0.28, 1.08)]
    brush.fill_fur([*right, *((-x, y) for x, y in reversed(right))])
    for side in (-1, 1):
        ear = [(0.42, -0.86), (0.85, -0.82), (flare, -0.2), (flare, drop), (flare - 0.28, drop + 0.1), (0.74, -0.15)]
        brush.fill_fur([(side * x, y) for x, y in ear], 0.72)
    brush.fill(oval(0, 0.62, 0.46 * muzzle, 0.45), brush.accent)
    if brush.rng.random() < 0.45:
        brush.fill([(-0.16, 0.82), (0.16, 0.82), (0.17, 1.2), (0, 1.34), (-0.17, 1.2)], _TONGUE)
        brush.stroke([(0, 0.85), (0, 1.15)], 0.03, (190, 70, 80))
    for side in (-1, 1):
        _draw_eye(brush.transformed(side * 0.36, -0.15, 1.0), 0.17, 0.17, slit=False)
    brush.fill_oval(0, 0.4, 0.25, 0.17, _nose_color(brush))
    brush.fill_oval(-0.07, 0.34, 0.06, 0.04, (235, 235, 235))
    brush.stroke([(-0.33, 0.78), (-0.15, 0.86), (0, 0.76), (0.15, 0.86), (0.33, 0.78)], 0.04)
    brush.stroke([(0, 0.55), (0, 0.76)], 0.04)


def _draw_cat_profile(brush: Brush) -> None:
    ear = brush.uniform(1.35, 1.6)
    # The far ear, then the head over it, then the near ear and its pink inside.
    brush.fill_fur([(0.0, -0.7), (0.42, -ear * 0.92), (0.55, -0.5)], 0.8, smooth=False)
    brush.fill_fur(
        [(-0.75, -0.35), (-0.72, 0.35), (-0.2, 0.8), (0.5, 0.72), (0.88, 0.45), (0.95, 0.18), (0.66, -0.25), (0, -0.85)]
    )
    brush.fill_fur([(-0.62, -0.52), (-0.3, -ear), (0.2, -0.72)], 0.92, smooth=False)
    brush.fill([(-0.42, -0.62), (-0.28, -ear * 0.85), (0.04, -0.72)], _PINK, smooth=False)
    brush.fill_oval(0.66, 0.38, 0.24, 0.18, brush.accent)
    _draw_eye(brush.transformed(0.38, -0.06, 1.0), 0.17, 0.17, slit=True)
    brush.fill([(0.83, 0.12), (1.0, 0.14), (0.93, 0.28)], _nose_color(brush), smooth=False)
    brush.stroke([(0.92, 0.3), (0.82, 0.46), (0.55, 0.5)], 0.035)
    for tilt in (-0.12, 0.0, 0.14):
        brush.stroke([(0.66, 0.38 + tilt * 0.5), (brush.uniform(-0.1, 0.1), 0.5 + tilt * 2.5)], 0.022, _WHISKER)


def _draw_dog_profile(brush: Brush) -> None:
    # How far the muzzle reaches forward, and how far the ear hangs down.
    reach, drop = brush.uniform(1.45, 1.8), brush.uniform(0.4, 0.95)
    skull = [(-0.78, -0.2), (-0.62, 0.45), (-0.1, 0.78), (0.6, 0.66), (reach - 0.15, 0.58), (reach, 0.25)]
    brush.fill_fur([*skull, (reach - 0.3, -0.02), (0.68, -0.12), (0.42, -0.6), (-0.2, -0.86)])
    if brush.rng.random() < 0.4:
        brush.fill([(0.9, 0.5), (1.2, 0.5), (1.28, 0.95), (1.08, 1.05), (0.95, 0.9)], _TONGUE)
    brush.fill_oval(reach - 0.04, 0.1, 0.2, 0.16, _nose_color(brush))
    brush.stroke([(reach - 0.06, 0.45), (0.9, 0.5), (0.6, 0.38)], 0.04)
    _draw_eye(brush.transformed(0.38, -0.2, 1.0), 0.15, 0.15, slit=False)
    brush.fill_fur([(-0.5, -0.75), (0.05, -0.7), (0.1, 0.0), (-0.1, drop), (-0.5, drop), (-0.72, 0.0)], 0.72)


def _draw_eye(brush: Brush, width: float, height: float, slit: bool) -> None:
    brush.fill_oval(0, 0, width + 0.045, height + 0.045, INK)
    brush.fill_oval(0, 0, width, height, brush.eyes)
    if slit:
        brush.fill_oval(0, 0, 0.05, height * 0.9, _PUPIL)
    else:
        brush.fill_oval(0, 0, width * 0.68, height * 0.68, _PUPIL)
    brush.fill_oval(-0.05, -height * 0.4, 0.04, 0.04, (255, 255, 255))


def _nose_color(brush: Brush) -> Color:
    return INK if brush.rng.random() < 0.6 else (190, 104, 104)
