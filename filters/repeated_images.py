"""Finds the same image in several documents by nearly equal perceptual hashes (imagehash's pHash of 64 bits)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import PIL.Image

from filters.decontaminate import image_hash

BLOCKS, WHOLE = 8, 3
MOST_BITS = BLOCKS - WHOLE
"""The most bits in which two hashes may differ and still agree in at least three of eight bytes, wherever the bits
are."""


_EDGE = 20
"""One part in so many is cut off each side of an image for its second hash: 5 %."""


def inner_hash(image: PIL.Image.Image) -> bytes:
    """The perceptual hash without the outer 5 % of each side: that of a copy from which somebody has cut them off.

    pHash does not see a crop as the same image, and a copy that was cut more or less, or on one side only, is found
    less often (docs/benchmarks.md).
    """
    x, y = image.width // _EDGE, image.height // _EDGE
    return image_hash(image.crop((x, y, image.width - x, image.height - y)))


def keys(hashed: bytes) -> Iterator[bytes]:
    """The 56 keys of a hash, of 4 bytes each: three of its eight bytes, and which these are.

    Two hashes that differ in at most MOST_BITS bits have a key in common.
    """
    for number, chosen in enumerate(itertools.combinations(range(BLOCKS), WHOLE)):
        yield bytes([number, *(hashed[at] for at in chosen)])


def distance(one: bytes, other: bytes) -> int:
    """The number of bits in which two hashes differ.

    >>> distance(bytes([0, 255]), bytes([1, 254]))
    2
    """
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
