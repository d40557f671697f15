"""A network as a picture, for people who learn: each layer as a box, whose height is the size of its maps and whose
width is the number of its channels. The same shapes are written as SVG and drawn as PNG.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from math import log2

from PIL import Image, ImageDraw, ImageFont

from dogvscat.network.operations import LOGIT, Operation, Shape
from dogvscat.network.table import LayerRow, layer_rows, shape_text
from dogvscat.network.text import Stage
from dogvscat.text import printable

INK, MUTED, PAPER = "#22303c", "#66727d", "#ffffff"
_COLORS = {
    "photo": "#c9d2d9",
    "conv": "#0072b2",
    "residual": "#56b4e9",
    "pool": "#e69f00",
    "norm": "#b9c4cc",
    "activation": "#009e73",
    "features": "#cc79a7",
    "dropout": "#e3e7ea",
    "weighting": "#f0e442",
    "logit": "#d55e00",
}
"""Colors by kind of layer; most are from Okabe and Ito (2008), which stay apart under every common color blindness."""
_LEGEND = (
    ("conv", "convolution: looks for patterns"),
    ("residual", "residual block: two convolutions that add to their input"),
    ("pool", "pooling: keeps the strongest or the mean, halves the size"),
    ("norm", "normalization"),
    ("activation", "activation function"),
    ("features", "list of features"),
    ("dropout", "dropout: only while training"),
    ("weighting", "squeeze-excite: weights the channels"),
    ("logit", "logit: the answer"),
)
_TALLEST = 150.0
_SLANT = 0.35
"""How far a box goes back, relative to its height."""
_LINE, _SIZE = 17.0, 13.0
_SCALE = 2
"""Pixels of the PNG per unit of the SVG."""


@dataclass(frozen=True)
class _Polygon:
    points: tuple[tuple[float, float], ...]
    fill: str
    outline: str = INK


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    text: str
    color: str = INK
    size: float = _SIZE
    is_bold: bool = False


_Mark = _Polygon | _Text


@dataclass(frozen=True)
class Drawing:
    """Shapes on white paper, from the back to the front."""

    width: float
    height: float
    marks: tuple[_Mark, ...]
    title: str

    def svg(self) -> str:
        """The drawing as an SVG file."""
        size = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" width="{self.width:.0f}" height="{self.height:.0f}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        ]
        for mark in self.marks:
            if isinstance(mark, _Polygon):
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
                lines.append(
                    f'<polygon points="{points}" fill="{mark.fill}" stroke="{mark.outline}" stroke-width="0.7"/>'
                )
            else:
                weight = ' font-weight="bold"' if mark.is_bold else ""
                place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:.0f}" fill="{mark.color}"'
                lines.append(f"<text {place}{weight}>{escape(mark.text)}</text>")
        return "\n".join([*lines, "</svg>\n"])

    def png(self) -> bytes:
        """The drawing as a PNG file."""
        image = Image.new("RGB", (round(self.width * _SCALE), round(self.height * _SCALE)), PAPER)
        canvas = ImageDraw.Draw(image)
        for mark in self.marks:
            if isinstance(mark, _Polygon):
                points = [(x * _SCALE, y * _SCALE) for x, y in mark.points]
                canvas.polygon(points, fill=mark.fill, outline=mark.outline)
            else:
                font = ImageFont.load_default(mark.size * _SCALE)
                stroke = 0.5 if mark.is_bold else 0
                place = (mark.x * _SCALE, mark.y * _SCALE)
                canvas.text(place, mark.text, mark.color, font, anchor="ls", stroke_width=stroke)
        buffer = BytesIO()
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def draw_network(stages: Sequence[Stage], operations: Sequence[Operation], recipe: str) -> Drawing:
    """A picture of a network: a column for the photo, one for each entry of its layers, and one for the logit.

    Args:
        stages: Its layers.
        operations: What they expand to, at the size to be drawn.
        recipe: For the title.
    """
    rows = layer_rows(stages, operations)
    image_size = operations[0].output_shape[0]
    title = f"The network of {printable(recipe)}, for images of {image_size} x {image_size} pixels"
    columns: list[tuple[str, list[LayerRow]]] = [("photo", rows[:1])]
    position = 1
    for stage in stages:
        columns.append((stage.name, rows[position : position + len(stage.layers)]))
        position += len(stage.layers)
    columns.append(("answer", rows[-1:]))
    marks: list[_Mark] = [_Text(24, 34, title, size=18, is_bold=True)]
    x, floor = 24.0, 70.0 + _TALLEST * (1 + _SLANT)
    deepest = floor
    for name, members in columns:
        end = x
        for row in members:
            end = _draw_box(marks, end, floor, row, image_size) + 4
        lines = [*([name] if name else []), *_merged(members), shape_text(members[-1].output_shape)]
        for number, line in enumerate(lines):
            color = MUTED if number == len(lines) - 1 else INK
            marks.append(_Text(x, floor + 26 + number * _LINE, line, color, is_bold=line == name))
        deepest = max(deepest, floor + 26 + len(lines) * _LINE)
        x = max(end + 34, x + 22 + max(_text_width(line) for line in lines))
    width = max(x + 10, 760.0)
    used = {_kind(row) for row in rows}
    height = _draw_legend(marks, deepest + 22, width, [entry for entry in _LEGEND if entry[0] in used])
    return Drawing(width, height, tuple(marks), title)


def _draw_box(marks: list[_Mark], x: float, floor: float, row: LayerRow, image_size: int) -> float:
    """A box that stands on the floor; returns where its front ends."""
    kind = _kind(row)
    height, width, back = _box_size(row.output_shape, image_size, is_thin=kind in ("norm", "activation", "dropout"))
    color, top, right = _COLORS[kind], floor - height, x + width
    shift = (back, -back)
    front = ((x, top), (right, top), (right, floor), (x, floor))
    above = (front[0], _moved(front[0], shift), _moved(front[1], shift), front[1])
    side = (front[1], _moved(front[1], shift), _moved(front[2], shift), front[2])
    marks += [_Polygon(above, _mixed(color, 0.45)), _Polygon(side, _mixed(color, 0.2)), _Polygon(front, color)]
    return right + (back * 0.35 if back else 0)


def _box_size(shape: Shape, image_size: int, is_thin: bool) -> tuple[float, float, float]:
    """Height, width and depth on paper. Areas of maps differ a thousandfold, so the square root of sides is drawn."""
    channels = shape[-1]
    if len(shape) == 1:  # a list of features: the longer, the taller; without depth
        return 14 + 12 * log2(1 + channels), 4.0 if is_thin else 9.0, 0.0
    height = max(10.0, _TALLEST * (shape[0] / image_size) ** 0.5)
    return height, 4.0 if is_thin else 3 + 3.5 * log2(1 + channels), height * _SLANT


def _kind(row: LayerRow) -> str:
    """The key of a layer's color."""
    if row.name == LOGIT:
        return "logit"
    words = row.text.split()
    if words[-1] == "pool" or "pool" in words:
        return "pool"
    if words[0] in ("conv", "residual", "norm", "dropout"):
        return words[0]
    if words[0] in ("flatten", "global", "dense"):
        return "features"
    if words[0] == "squeeze-excite":
        return "weighting"
    return "photo" if row.name == "scaling" or words[0] == "soft" else "activation"


def _merged(rows: Sequence[LayerRow]) -> list[str]:
    """The texts of layers; equal ones in a row once, with their number."""
    lines: list[tuple[str, int]] = []
    for row in rows:
        if lines and lines[-1][0] == row.text:
            lines[-1] = (row.text, lines[-1][1] + 1)
        else:
            lines.append((row.text, 1))
    return [f"{count} x {text}" if count > 1 else text for text, count in lines]


def _draw_legend(marks: list[_Mark], y: float, width: float, entries: Sequence[tuple[str, str]]) -> float:
    """Colors and their meanings, in as many lines as they need; returns the height of the picture."""
    x = 24.0
    for kind, meaning in entries:
        needed = 20 + _text_width(meaning) + 22
        if x + needed > width and x > 24.0:
            x, y = 24.0, y + 22
        square = ((x, y - 11), (x + 12, y - 11), (x + 12, y + 1), (x, y + 1))
        marks += [_Polygon(square, _COLORS[kind]), _Text(x + 19, y, meaning, MUTED)]
        x += needed
    return y + 22


def _moved(point: tuple[float, float], shift: tuple[float, float]) -> tuple[float, float]:
    return (point[0] + shift[0], point[1] + shift[1])


def _mixed(color: str, share: float) -> str:
    """The color with this share of white."""
    parts = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


def _text_width(text: str) -> float:
    return 0.55 * _SIZE * len(text)
