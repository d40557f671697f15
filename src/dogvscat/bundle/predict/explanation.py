"""The picture that `explain` writes: a photo, the photo under its heat map, and the prediction in words and bars."""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dogvscat.bundle.predict.heat_map import overlay_heat_map
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.labels import AT_CHANCE, NEITHER, UNSURE

LONGEST_SIDE = 720
"""Length of the photo's longer side in the picture, in pixels."""

_INK, _MUTED, _TRACK, _BAR = (34, 48, 60), (102, 114, 125), (227, 231, 234), (0, 114, 178)
# In pixels.
_MARGIN = 16
_ROW = 26
_LEAST_WIDTH = 480
_QUALITY = 90  # of the JPEG, in percent


def draw_explanation(photo: np.ndarray, heat: np.ndarray, prediction: Prediction, class_name: str) -> bytes:
    """A JPEG of the photo and its heat map side by side, with the prediction below.

    Args:
        photo: uint8 (height, width, 3), RGB.
        heat: float64 (h, w) in 0..1, of any size.
        prediction: The prediction for the photo.
        class_name: The class that the heat map is the evidence for.
    """
    height, width = photo.shape[:2]
    rows = [*prediction.probabilities.items(), *([] if prediction.neither is None else [(NEITHER, prediction.neither)])]
    total_width = max(2 * width + 3 * _MARGIN, _LEAST_WIDTH)
    total_height = height + 3 * _MARGIN + 32 + _ROW * len(rows) + 20
    sheet = Image.new("RGB", (total_width, total_height), "white")
    sheet.paste(Image.fromarray(photo), (_MARGIN, _MARGIN))
    sheet.paste(Image.fromarray(overlay_heat_map(photo, heat)), (2 * _MARGIN + width, _MARGIN))
    draw = ImageDraw.Draw(sheet)
    top = height + 2 * _MARGIN
    draw.text((_MARGIN, top), _headline(prediction, class_name), _INK, _font(20))
    top += 32
    for name, probability in rows:
        _draw_bar(draw, top, total_width, name, probability)
        top += _ROW
    legend = f"yellow: strongest evidence for {class_name}; gray: none"
    if not heat.any():
        legend = f"no evidence for {class_name} anywhere"
    draw.text((_MARGIN, top + 2), legend, _MUTED, _font(13))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _headline(prediction: Prediction, class_name: str) -> str:
    if prediction.label != UNSURE:
        return prediction.label
    # A network that is no better than guessing has no opinion that is worth a word.
    closer = "" if prediction.reason == AT_CHANCE else f", closer to {class_name}"
    return f"{UNSURE} ({prediction.reason}){closer}"


def _draw_bar(draw: ImageDraw.ImageDraw, top: int, total_width: int, name: str, probability: float) -> None:
    left, right = _MARGIN + 110, total_width - _MARGIN - 70
    draw.text((_MARGIN, top), name, _INK, _font(15))
    draw.rounded_rectangle((left, top + 4, right, top + 15), 4, _TRACK)
    if (end := left + round((right - left) * probability)) > left + 8:  # shorter bars cannot have round corners
        draw.rounded_rectangle((left, top + 4, end, top + 15), 4, _MUTED if name == NEITHER else _BAR)
    draw.text((total_width - _MARGIN, top), f"{probability:.1%}", _INK, _font(15), anchor="ra")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # ships with Pillow, so that pictures are equal on every machine
