"""The same picture in several documents: perceptual hashes (imagehash's pHash of 64 bits) that are nearly equal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

BLOCKS, WHOLE = 8, 3
MOST_BITS = BLOCKS - WHOLE
"""Hashes that differ in at most so many bits agree in three of eight bytes at least, wherever the bits are."""


def keys(hashed: bytes) -> Iterator[bytes]:
    """What two hashes have one of in common if they differ in at most MOST_BITS bits: 56 keys of 4 bytes, each three of
    the eight bytes and which these are."""
    for number, chosen in enumerate(itertools.combinations(range(BLOCKS), WHOLE)):
        yield bytes([number, *(hashed[at] for at in chosen)])


def distance(one: bytes, other: bytes) -> int:
    """The bits in which two hashes differ.

    >>> distance(bytes([0, 255]), bytes([1, 254]))
    2
    """
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
