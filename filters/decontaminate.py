"""Finds what a document repeats from a benchmark: an id, a run of twelve words, or an image.

Twelve words is the length in datatrove's decontamination; images are the same within a few bits of their
perceptual hash (imagehash's pHash of 64 bits).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

import imagehash
import numpy as np
import PIL.Image

from filters.words import words
from schemas.records import Document

RUN = 12
HASH_SIDE = 256
"""A JPEG is decoded for its hash at 1/2, 1/4 or 1/8 of its size, as long as both sides keep so many pixels.

Of 150 images of 700 to 1,024 pixels, 136 have the same hash as when they are decoded at their whole size, and 14 one with
2 other bits.
"""


@dataclasses.dataclass(frozen=True)
class Hit:
    """What matched in a document, and which item of the benchmark.

    `kind` is `id`, `text` or `image`, `item` the benchmark's item, `match` the id, the words or the distance in bits.
    """

    kind: str
    item: str
    match: str


def runs(texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Every run of twelve words with its hash of 64 bits, also from one text to the next, whose borders differ."""
    found = words(unicodedata.normalize("NFKC", "\n".join(texts)).casefold())
    for start in range(len(found) - RUN + 1):
        run = " ".join(found[start : start + RUN])
        yield int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()), run


def source_ids(document: Document) -> set[str]:
    """The ids by which a document's source is known.

    Its own, the article or album that it is a part of (`77_501` is of `77`), and its address.
    """
    return {found for found in (document.id, document.id.rpartition("_")[0], document.url) if found}


def benchmark_ids(document: Document) -> set[str]:
    """The ids that an item of a benchmark holds out.

    Its own with the numbers in it, its address, and the articles whose step images it has (`wikihow/70000001_0_0.png`
    is of article 70000001).
    """
    steps = (re.fullmatch(r".*/(\d+)_\d+_\d+\.\w+", image.uri) for image in document.images)
    numbers = re.findall(r"(?<!\d)\d{5,}(?!\d)", document.id)
    return {found for found in (document.id, document.url, *numbers) if found} | {match[1] for match in steps if match}


def image_hash(image: PIL.Image.Image) -> bytes:
    """The image's perceptual hash: 8 bytes."""
    return bytes(np.packbits(imagehash.phash(image).hash.flatten()).tobytes())


def nearest(image: bytes, known: np.ndarray) -> tuple[int, int]:
    """The (index, distance in bits) of the nearest of the `known` hashes, an array of uint64.

    Index -1 if there is none.
    """
    if not len(known):
        return -1, 64
    distances = np.bitwise_count(known ^ np.frombuffer(image, ">u8").astype(np.uint64)[0])
    place = int(distances.argmin())
    return place, int(distances[place])
