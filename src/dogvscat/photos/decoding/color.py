"""Colors to sRGB by ICC profile, as browsers show them.

A photo whose profile is that of sRGB under another name is unchanged. The conversion is that of Little CMS, which
Pillow contains, with the perceptual intent.
"""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
"""Pillow's mode by the color space that an ICC profile names."""
_SAME_LEVELS = 3
"""A profile that moves no test color by more than this many gray levels is sRGB: its variants round differently."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB.

    Args:
        image: Of mode L, RGB or CMYK.
        profile: Its ICC profile. A broken one, or one for another kind of image, is ignored, as in browsers.

    Returns:
        The same object if nothing needs to change, else an image of mode RGB.
    """
    mode = _MODES.get(profile[16:20]) if profile else None
    # A gray image may have a profile for RGB; no other mismatch has a meaning.
    if profile is None or mode is None or (mode != image.mode and (mode, image.mode) != ("RGB", "L")):
        return image
    transform = _transform(profile, mode)
    if transform is None:
        return image
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image.convert(mode), transform)
    return image if converted is None else converted


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """An image of mode LAB, which only Little CMS can convert."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return image if converted is None else converted


@lru_cache(maxsize=8)  # profiles have at most 4 MB each
def _transform(profile: bytes, mode: str) -> Any:
    """Little CMS's transform to sRGB; None if the profile is sRGB or cannot be used. Threads may share it."""
    from PIL import ImageCms  # most photos have no profile

    try:
        source, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        if mode == "CMYK":
            return transform
        samples = _test_colors().convert(mode)
        converted = ImageCms.applyTransform(samples, transform)
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None
    before, after = (np.asarray(image.convert("RGB"), np.int16) for image in (samples, converted or samples))
    return None if np.abs(after - before).max() <= _SAME_LEVELS else transform


def _test_colors() -> Image.Image:
    """Every gray level, and a grid of 9 levels per channel."""
    levels = np.linspace(0, 255, 9).round()
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    grays = np.repeat(np.arange(256)[:, None], 3, axis=1)
    return Image.fromarray(np.concatenate([grays, grid]).astype(np.uint8)[None])
