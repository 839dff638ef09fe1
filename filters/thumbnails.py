"""Confirms by thumbnails that two images are the same, where nearly equal perceptual hashes propose it.

A perceptual hash sees the coarse layout only: two dialogs with other words have the same hash, and so have two boards
with other lights. Copies agree in every square of their thumbnails; one word, tick or frame more changes one square.
"""

from __future__ import annotations

import numpy as np
import PIL.Image

SIDE, COLOURS = 32, 8
"""The squares of a side: of brightness, and of each of the two colours (Cb and Cr)."""
BYTES = SIDE**2 + 2 * COLOURS**2
_MOST = np.repeat(np.array([14, 6], np.int16), [SIDE**2, 2 * COLOURS**2])
"""How far each value, of 0 to 255, may be apart in copies. Measured in docs/benchmarks.md."""
_CUT = 2
"""So many times as far if one of the two is cut, because a cut is off by a part of a pixel or more."""


def thumbnail(image: PIL.Image.Image, edge: float = 0.0) -> bytes:
    """The thumbnail, of BYTES bytes, of an RGB image without this part of each side."""
    x, y = edge * image.width, edge * image.height
    box = (x, y, image.width - x, image.height - y)
    small = image.resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR, box).convert("YCbCr")
    bright, *colours = small.split()
    return b"".join([bright.tobytes(), *(colour.reduce(SIDE // COLOURS).tobytes() for colour in colours)])


def values(thumbnails: list[bytes]) -> np.ndarray:
    """Thumbnails as an array with one row each."""
    return np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, BYTES)


def alike(one: np.ndarray, others: np.ndarray, cut: bool = False) -> np.ndarray:
    """For each of `others`, whether it agrees with `one` in every value; `cut`: one of each pair is without edges."""
    return np.asarray((np.abs(others.astype(np.int16) - one) <= _MOST * (_CUT if cut else 1)).all(axis=1))
