"""What an image shows: one file a measure, each of which a rule of `filters/content.py` compares with its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import PIL.Image

OpenImage = Callable[[str], PIL.Image.Image]
"""Opens an image by its sha256."""


class Detector(NamedTuple):
    """One measure of images.

    version: what identifies it in cache keys. measure: hashes of images to one number each, in the same order.
    """

    version: str
    measure: Callable[[Sequence[str], OpenImage], list[float]]
