"""Repeated images: which planted copies are found at each number of bits, and how many different pictures are, too.

    python -m benchmarks.repeated_images --corpus native:../shared/corpora/howto.tar --images 2000

Copies: encoded again (JPEG, quality 60 and 95), at half, twice and other sizes, and cropped by 3, 5 and 7 % of each side
or 5 % of the lower one, and encoded again. Every picture is compared with every copy, by its hashes alone (whole and
without edges), and as the pipeline does, by hashes and thumbnails; all are decoded from their normal form, at up to 1,024
pixels, as the pipeline does it. How many of the pairs within the bits share a key is the recall of the keys.

What is different is known without hashes and thumbnails. The same picture is different with something planted in it: a
square mark, a word, or a red frame. Two pictures are different if their pixels are, in brightness at 96 x 96 by more than
8 of 255 on average: a corpus has copies of its own, but none differs so much.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import io
import json
import random
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageDraw

from filters.decontaminate import HASH_SIDE, image_hash
from filters.repeated_images import inner_hash, inner_thumbnail, keys
from filters.thumbnails import alike, thumbnail, values
from pipeline import config, corpora
from pipeline.images.children import normalise
from pipeline.images.faults import ImageFault
from pipeline.sources import Corpus
from pipeline.storage.uris import is_http, read_bytes
from schemas.images import MAX_PIXELS, open_published
from schemas.records import Document

MOST = 8
SIDE = 1024
PIXELS, APART = 96, 8
Change = Callable[[PIL.Image.Image], PIL.Image.Image]


@dataclasses.dataclass(frozen=True)
class Looks:
    """The hashes and thumbnails of pictures, whole and without edges."""

    whole: np.ndarray
    inner: np.ndarray
    small: np.ndarray
    inner_small: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    originals = _originals(config.parse_corpus(options.corpus), options.images)
    first = _looks(originals)
    pixels = np.stack([np.asarray(one.convert("L").resize((PIXELS, PIXELS)), np.int16) for one in originals])
    found: dict[str, object] = {"images": len(originals)}
    copies: dict[str, Change] = {
        "encoded again at 60": functools.partial(_encoded, quality=60),
        "encoded again at 95": functools.partial(_encoded, quality=95),
        **{f"{round(100 * scale)} % of the size": functools.partial(_scaled, scale) for scale in (0.5, 0.73, 1.37, 2)},
        **{f"cropped {part} % of each side": functools.partial(_cropped, part / 100) for part in (3, 5, 7)},
        "cropped 5 % below": functools.partial(_cropped, 0.05, below=True),
    }
    for name, change in copies.items():
        changed = _looks([change(image) for image in originals])
        distances, confirmed = _compared(first, changed)
        own = np.diag(distances)
        found[f"{name}: by the hash alone"] = _within(np.bitwise_count(first.whole ^ changed.whole))
        found[f"{name}: by both hashes"] = _within(own)
        found[name] = _within(np.diag(confirmed))
        within = [at for at in range(len(own)) if own[at] <= 5]
        shared = sum(_share_a_key(first, changed, at) for at in within)
        found[f"{name}: pairs within 5 bits that share a key"] = f"{shared} of {len(within)}"
        if name == "encoded again at 95":
            near = [(a, b) for a, b in np.argwhere(distances <= MOST) if a < b]
            other = [(a, b) for a, b in near if np.abs(pixels[a] - pixels[b]).mean() > APART]
            found["pairs of different pictures: by both hashes"] = _counts([distances[pair] for pair in other])
            found["pairs of different pictures"] = _counts([confirmed[pair] for pair in other])
    for name, change in {"a mark": _marked, "a word": _worded, "a red frame": _framed}.items():
        distances, confirmed = _compared(first, _looks([_encoded(change(image), quality=95) for image in originals]))
        found[f"different by {name}: by both hashes"] = _within(np.diag(distances))
        found[f"different by {name}"] = _within(np.diag(confirmed))
    print(json.dumps(found, indent=2))


def _originals(corpus: Corpus, most: int) -> list[PIL.Image.Image]:
    """The first pictures of different bytes, in normal form."""
    found: dict[bytes, PIL.Image.Image] = {}
    for part in corpora.parts(corpus.format, corpus.path):
        for record in corpora.read(part):
            for image in record.images if isinstance(record, Document) else ():
                if is_http(image.uri):
                    continue
                try:
                    data = normalise(read_bytes(image.uri), max_side=SIDE, max_pixels=MAX_PIXELS).data
                except (ImageFault, OSError):
                    continue
                found.setdefault(data, PIL.Image.open(io.BytesIO(data)).convert("RGB"))
                if len(found) == most:
                    return list(found.values())
    return list(found.values())


def _encoded(image: PIL.Image.Image, quality: int = 75) -> PIL.Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return PIL.Image.open(out).convert("RGB")


def _scaled(scale: float, image: PIL.Image.Image) -> PIL.Image.Image:
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return _encoded(image.resize(size, PIL.Image.Resampling.BICUBIC))


def _cropped(part: float, image: PIL.Image.Image, *, below: bool = False) -> PIL.Image.Image:
    x, y = round(part * image.width), round(part * image.height)
    box = (0, 0, image.width, image.height - y) if below else (x, y, image.width - x, image.height - y)
    return _encoded(image.crop(box))


def _place(image: PIL.Image.Image, width: float, height: float) -> tuple[int, int, int, int]:
    """A box of this size, in parts of the picture's longer side, at a place that depends on the picture."""
    x, y = (max(round(part * max(image.size)), 4) for part in (width, height))
    chance = random.Random(image.resize((8, 8)).tobytes())
    left, top = chance.randint(0, max(image.width - x, 0)), chance.randint(0, max(image.height - y, 0))
    return left, top, left + x, top + y


def _contrast(image: PIL.Image.Image, box: tuple[int, int, int, int]) -> str:
    return "white" if np.asarray(image.crop(box).convert("L")).mean() < 128 else "black"


def _marked(image: PIL.Image.Image) -> PIL.Image.Image:
    """With a square of 4 % of the longer side."""
    image, box = image.copy(), _place(image, 0.04, 0.04)
    PIL.ImageDraw.Draw(image).rectangle(box, fill=_contrast(image, box))
    return image


def _worded(image: PIL.Image.Image) -> PIL.Image.Image:
    """With a word, whose letters are 5 % of the longer side high."""
    image, box = image.copy(), _place(image, 0.15, 0.05)
    draw = PIL.ImageDraw.Draw(image)
    draw.text(box[:2], "other", fill=_contrast(image, box), font_size=box[3] - box[1])
    return image


def _framed(image: PIL.Image.Image) -> PIL.Image.Image:
    """With a red frame of 15 x 8 % of the longer side, 1 % wide."""
    image, box = image.copy(), _place(image, 0.15, 0.08)
    PIL.ImageDraw.Draw(image).rectangle(box, outline="red", width=max(round(0.01 * max(image.size)), 1))
    return image


def _within(distances: np.ndarray) -> dict[int, float]:
    """The share of pairs within each number of bits."""
    return {bits: round(float((distances <= bits).mean()), 3) for bits in range(MOST + 1)}


def _counts(distances: list[int]) -> dict[int, int]:
    """The number of pairs within each number of bits."""
    return {bits: sum(int(distance <= bits) for distance in distances) for bits in range(MOST + 1)}


def _looks(images: list[PIL.Image.Image]) -> Looks:
    found = [_small(image) for image in images]
    hashes = [
        np.array([int.from_bytes(hashed(one)) for one in found], np.uint64) for hashed in (image_hash, inner_hash)
    ]
    small = [values([thumb(one) for one in found]) for thumb in (thumbnail, inner_thumbnail)]
    return Looks(*hashes, *small)


def _small(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image as the pipeline decodes it for its hashes."""
    out = io.BytesIO()
    image.save(out, "BMP")
    return open_published(normalise(out.getvalue(), max_side=SIDE, max_pixels=MAX_PIXELS).data, at_least=HASH_SIDE)


def _compared(one: Looks, other: Looks) -> tuple[np.ndarray, np.ndarray]:
    """The bits between the nearest hashes of each pair, and between the nearest whose thumbnails agree (else 64)."""
    nearest = np.full((len(one.whole), len(other.whole)), 64)
    confirmed = nearest.copy()
    for hashes, others, small, others_small, cut in (
        (one.whole, other.whole, one.small, other.small, False),
        (one.inner, other.whole, one.inner_small, other.small, True),
        (one.whole, other.inner, one.small, other.inner_small, True),
    ):
        distances = np.bitwise_count(hashes[:, None] ^ others[None, :]).astype(int)
        for at in range(len(hashes)):
            near = np.flatnonzero(distances[at] <= MOST)
            near = near[alike(small[at], others_small[near], cut)]
            confirmed[at, near] = np.minimum(confirmed[at, near], distances[at, near])
        nearest = np.minimum(nearest, distances)
    return nearest, confirmed


def _share_a_key(one: Looks, other: Looks, at: int) -> bool:
    def keyed(hashed: np.uint64) -> set[bytes]:
        return set(keys(int(hashed).to_bytes(8)))

    whole, copied = keyed(one.whole[at]), keyed(other.whole[at])
    return bool(whole & (copied | keyed(other.inner[at])) or keyed(one.inner[at]) & copied)


if __name__ == "__main__":
    main()
