"""Finds the same image in several documents by nearly equal perceptual hashes and thumbnails.

The hash is imagehash's pHash of 64 bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image

from filters import thumbnails
from filters.decontaminate import image_hash

BLOCKS, WHOLE = 8, 3
MOST_BITS = BLOCKS - WHOLE
"""The most bits in which two hashes may differ and still agree in at least three of eight bytes, wherever the bits
are."""

COMPARED = 1_000
"""Each image of a set of hashes is compared with so many before it; only flat images are more."""

_EDGE = 20
"""One part in so many is cut off each side of an image for its second hash: 5 %."""


def inner_hash(image: PIL.Image.Image) -> bytes:
    """The perceptual hash without the outer 5 % of each side: that of a copy from which somebody has cut them off.

    pHash does not see a crop as the same image. A copy that was cut more or less, or on one side only, is not found
    (docs/benchmarks.md).
    """
    x, y = image.width // _EDGE, image.height // _EDGE
    return image_hash(image.crop((x, y, image.width - x, image.height - y)))


def inner_thumbnail(image: PIL.Image.Image) -> bytes:
    """The thumbnail without the outer 5 % of each side."""
    return thumbnails.thumbnail(image, 1 / _EDGE)


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


def sets(hashes: Sequence[bytes], small: Sequence[bytes], inner: Sequence[tuple[bytes, bytes]], most: int) -> list[int]:
    """A number for each image: images have the same one if they are the same, directly or through images between them.

    `small`: their thumbnails; `inner`: their hashes and thumbnails without edges, or nothing. Two images are the same
    if both their hashes, in at most `most` bits, and their thumbnails agree, or those of one and the inner ones of the
    other.
    """
    order = sorted(range(len(hashes)), key=lambda at: hashes[at])
    whole = _numbers([hashes[at] for at in order]), thumbnails.values([small[at] for at in order])
    pairs = [(whole, whole, False)]
    if inner:
        cut = _numbers([inner[at][0] for at in order]), thumbnails.values([inner[at][1] for at in order])
        pairs += [(whole, cut, True), (cut, whole, True)]
    label = np.arange(len(order))
    for at in range(1, len(order)):
        first = max(at - COMPARED, 0)
        for (one, one_small), (others, others_small), is_cut in pairs:
            near = first + np.flatnonzero(np.bitwise_count(others[first:at] ^ one[at]) <= most)
            # one of each set first: in a set of a thousand copies of a logo, no other has to be compared
            for some in (near[np.unique(label[near], return_index=True)[1]], near):
                some = some[label[some] != label[at]]
                for other in some[thumbnails.alike(one_small[at], others_small[some], is_cut)]:
                    label[label == label[other]] = label[at]
    numbers = dict(zip(order, label.tolist(), strict=True))
    return [numbers[at] for at in range(len(order))]


def _numbers(hashes: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)
