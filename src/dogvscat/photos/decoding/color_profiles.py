"""ICC profiles for colors that a file describes in another way: PNG's gAMA and cHRM, and the code points of H.273.

A profile is written as three primaries and one curve. Source: ICC.1:2022, sections 7 to 10; ITU-T H.273, tables 2 and
3; the PNG Specification, third edition, sections 4.3 and 11.3.2.
"""

import struct
from collections.abc import Callable, Sequence

import numpy as np

Chromaticities = Sequence[float]
"""x and y of white, red, green and blue, as in PNG's cHRM."""
Curve = Callable[[np.ndarray], np.ndarray]
"""From samples to light, both 0..1; float64 (num_samples,)."""

_SRGB: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES: dict[int, Chromaticities] = {
    1: _SRGB,
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.3140, 0.3510, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
_HDR_WHITE_NITS = 203.0
"""Diffuse white of HDR pictures; brighter light becomes white. Source: ITU-R BT.2408."""
_CURVE_POINTS = 4096
_SAME_GAMMA = 0.05
"""A gamma within 5% of 1 / 2.2 is sRGB's curve, which writers of PNG mean by it; libpng has the same threshold."""
_SAME_CHROMATICITY = 0.01
# Light of D65 as it looks under D50, the white of ICC profiles, by Bradford's matrix.
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.96422, 1.0, 0.82521])


def png_profile(gamma: float | None, chromaticities: Chromaticities | None) -> bytes | None:
    """The profile of PNG's gAMA and cHRM; None if they are missing, impossible, or those of sRGB.

    Args:
        gamma: The exponent from light to samples, such as 0.45455.
        chromaticities: Or None for sRGB's.
    """
    is_srgb_curve = not gamma or abs(gamma * 2.2 - 1.0) <= _SAME_GAMMA
    if not chromaticities or np.abs(np.subtract(chromaticities, _SRGB)).max() <= _SAME_CHROMATICITY:
        chromaticities = _SRGB
    if is_srgb_curve and chromaticities is _SRGB:
        return None
    return _profile(chromaticities, _srgb_light if is_srgb_curve or not gamma else _power(1.0 / gamma))


def h273_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of two code points as in PNG's cICP and AVIF's nclx; None for sRGB and for unknown primaries.

    The curve of an unknown transfer code point is sRGB's.
    """
    if primaries in (1, 2) and transfer in (1, 2, 6, 13, 14, 15):  # video's curve is shown as sRGB's by browsers
        return None
    curve = {4: _power(2.2), 5: _power(2.8), 8: _power(1.0), 16: _pq_light, 18: _hlg_light}.get(transfer, _srgb_light)
    return _profile(_PRIMARIES[primaries], curve) if primaries in _PRIMARIES else None


def _power(exponent: float) -> Curve:
    return lambda samples: samples**exponent


def _srgb_light(samples: np.ndarray) -> np.ndarray:
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def _pq_light(samples: np.ndarray) -> np.ndarray:
    """The curve of SMPTE ST 2084, with diffuse white as 1."""
    root = samples ** (1 / 78.84375)
    nits = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return np.minimum(nits / _HDR_WHITE_NITS, 1.0)


def _hlg_light(samples: np.ndarray) -> np.ndarray:
    """The curve of ARIB STD-B67 with the system gamma 1.2; diffuse white, which is 0.75, as 1."""
    scene = np.where(samples <= 0.5, samples**2 / 3, (np.exp((samples - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return np.minimum((scene / 0.26496256) ** 1.2, 1.0)


def _profile(chromaticities: Chromaticities, curve: Curve) -> bytes | None:
    matrix = _to_d50(chromaticities)
    if matrix is None:
        return None
    levels = curve(np.linspace(0.0, 1.0, _CURVE_POINTS))
    table = (np.clip(levels, 0.0, 1.0) * 65535 + 0.5).astype(">u2").tobytes()
    response = b"curv" + struct.pack(">II", 0, _CURVE_POINTS) + table
    tags = {b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    start = 128 + 4 + 12 * (len(tags) + 3)
    directory, content = b"", b""
    for name, value in tags.items():
        directory += name + struct.pack(">II", start + len(content), len(value))
        content += value
    for name in (b"rTRC", b"gTRC", b"bTRC"):  # all three point to the same curve
        directory += name + struct.pack(">II", start + len(content), len(response))
    body = struct.pack(">I", len(tags) + 3) + directory + content + response
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"\0\0\0\0", 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    return header.ljust(36, b"\0") + b"acsp" + bytes(28) + _fixed(_D50) + bytes(48) + body


def _to_d50(chromaticities: Chromaticities) -> np.ndarray | None:
    """The matrix from light of the primaries to XYZ under D50; None for impossible chromaticities."""
    white, *primaries = (
        np.array([x, y, 1.0 - x - y]) for x, y in np.reshape(np.asarray(chromaticities, float), (4, 2))
    )
    if white[1] <= 0:
        return None
    try:
        white_xyz = white / white[1]
        matrix = np.stack(primaries, axis=1)
        matrix = matrix * np.linalg.solve(matrix, white_xyz)  # so that equal parts of the primaries give white
        cones, cones_d50 = _BRADFORD @ white_xyz, _BRADFORD @ _D50
        adapted = np.linalg.solve(_BRADFORD, np.diag(cones_d50 / cones) @ _BRADFORD @ matrix)
    except np.linalg.LinAlgError:
        return None
    return adapted if np.isfinite(adapted).all() and np.abs(adapted).max() < 4 else None


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: np.ndarray) -> bytes:
    """Numbers with 16 bits after the binary point."""
    return np.round(np.asarray(values) * 65536).astype(">i4").tobytes()
