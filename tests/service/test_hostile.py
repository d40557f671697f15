"""Damaged, hostile and odd files over HTTP: an answer or a named 4xx for each, and nothing else changes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import decode
from tests.helpers import black_png, encoded, plain_png

pytestmark = pytest.mark.slow

STATUS = {"empty": 400, "unreadable": 400, "too_large": 413, "unsupported_format": 415}


def samples() -> Iterator[tuple[str, bytes]]:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    photo, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6
    pictures = {"gray": photo.convert("L"), "cmyk": photo.convert("CMYK"), "rgba": photo.convert("RGBA")}
    kinds: list[tuple[str, Image.Image, dict[str, Any]]]
    kinds = [("JPEG", photo, {"exif": exif}), ("JPEG", pictures["cmyk"], {}), ("JPEG", photo, {"progressive": True})]
    kinds += [("PNG", picture, {}) for picture in (photo, pictures["rgba"], photo.quantize(16), photo.convert("1"))]
    kinds += [(kind, photo, {}) for kind in ("WEBP", "GIF", "BMP", "TIFF")]
    kinds += [("JPEG", pictures["gray"].resize((1, 900)), {}), ("PNG", photo.resize((1, 1)), {})]
    for number, (kind, picture, options) in enumerate(kinds):
        yield f"{number}-{kind}", encoded(picture, kind, **options)


def damaged() -> Iterator[bytes]:
    rng = np.random.default_rng(1)
    for _, data in samples():
        yield data
        yield data[: len(data) // 2]
        yield data[: len(data) - 3]
        for share in (0.001, 0.02, 0.2):
            broken = np.frombuffer(data, np.uint8).copy()
            damaged_bytes = rng.random(len(broken)) < share
            damaged_bytes[: min(16, len(broken) // 8)] = False  # so that its format is still recognized
            broken[damaged_bytes] = rng.integers(0, 256, damaged_bytes.sum(), dtype=np.uint8)
            yield broken.tobytes()
    yield b"\0" * 1000
    yield b"GIF89a"
    yield b"%PDF-1.7\n" + bytes(100)
    yield b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(100)
    yield b"PK\x03\x04" + bytes(100)
    yield b"<html><script>alert(1)</script></html>"


def outcome(data: bytes) -> int:
    """What the decoder makes of it, as a status."""
    try:
        decode(data, "picture", 32)
    except ImageError as error:
        return STATUS[error.code]
    return 200


def test_every_file_gets_an_answer_or_a_reason(linear) -> None:
    canary = linear.predict(plain_png((200, 30, 20))).content
    files = list(damaged())
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(linear.predict, files))
    assert [response.status_code for response in responses] == [outcome(data) for data in files]
    assert {response.status_code for response in responses} == {200, 400, 415}
    for response in responses:
        document = response.json()
        assert document["detail"] if response.status_code != 200 else document["predictions"][0]["label"]
    assert linear.predict(plain_png((200, 30, 20))).content == canary
    assert "Traceback" not in linear.stderr(), linear.stderr()


def test_a_bomb_is_refused_before_it_is_decoded(linear) -> None:
    bomb = black_png(13_000)
    linear.predict(b"warm")
    started = time.perf_counter()
    response = linear.predict(bomb)
    assert time.perf_counter() - started < 2.0  # an order of magnitude less than it would take to decode
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert "declares 13000 x 13000 pixels" in response.json()["detail"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_the_file(linear, orientation: int) -> None:
    """A scene stored in each of the eight ways is one scene."""
    ways = Image.Transpose
    undo = {2: ways.FLIP_LEFT_RIGHT, 3: ways.ROTATE_180, 4: ways.FLIP_TOP_BOTTOM, 5: ways.TRANSPOSE}
    undo |= {6: ways.ROTATE_90, 7: ways.TRANSVERSE, 8: ways.ROTATE_270}
    scene = Image.new("RGB", (64, 64), (0, 0, 255))
    scene.paste((255, 0, 0), (32, 16, 64, 64))
    stored = scene.transpose(undo[orientation]) if orientation in undo else scene
    exif = Image.Exif()
    exif[0x0112] = orientation
    plainly, turned = BytesIO(), BytesIO()
    scene.save(plainly, "PNG")
    stored.save(turned, "PNG", exif=exif)
    assert linear.predict(turned.getvalue()).json() == linear.predict(plainly.getvalue()).json()
