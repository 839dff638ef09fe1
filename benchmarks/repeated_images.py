"""Repeated images: which planted copies are found at each number of bits, and how many other pairs are.

    python -m benchmarks.repeated_images --corpus native:../shared/corpora/howto.tar --images 400

Copies: encoded again (JPEG, quality 50), at half the size, and cropped by 3, 5 and 7 % of each side or 5 % of the lower
one, and encoded again. Every picture is compared with every copy: by imagehash's pHash itself, and as the pipeline does,
by two hashes; all are decoded from their normal form, at up to 1,024 pixels, as the pipeline does it. How many of the
pairs within the bits share a key is the recall of the keys. Different images of one corpus may really show the same, so
wrong pairs are counted without those whose originals are similar already.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
from collections.abc import Callable

import numpy as np
import PIL.Image

from filters.decontaminate import HASH_SIDE, image_hash
from filters.repeated_images import inner_hash, keys
from pipeline import config, corpora
from pipeline.images.children import normalise
from pipeline.images.faults import ImageFault
from pipeline.sources import Corpus
from pipeline.storage.uris import is_http, read_bytes
from schemas.images import open_published
from schemas.records import Document

MOST = 8
SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    originals = _originals(config.parse_corpus(options.corpus), options.images)
    first, inner = _hashes(originals), _hashes(originals, inner_hash)
    apart = _distances(first, first) > 10
    np.fill_diagonal(apart, False)
    found: dict[str, object] = {"images": len(originals)}
    changes: dict[str, Callable[[PIL.Image.Image], PIL.Image.Image]] = {
        "encoded again": _encoded,
        "half the size": _halved,
        **{f"cropped {part} % of each side": functools.partial(_cropped, part / 100) for part in (3, 5, 7)},
        "cropped 5 % below": functools.partial(_cropped, 0.05, below=True),
    }
    for name, change in changes.items():
        changed = [change(image) for image in originals]
        copies, inner_copies = _hashes(changed), _hashes(changed, inner_hash)
        by_one = _distances(first, copies)
        distances = np.minimum(by_one, np.minimum(_distances(inner, copies), _distances(first, inner_copies)))
        own = np.diag(distances)
        found[f"{name}: by pHash alone"] = _within(np.diag(by_one))
        found[name] = _within(own)
        found[f"{name}: wrong pairs"] = {bits: int((apart & (distances <= bits)).sum()) for bits in range(MOST + 1)}
        within = [at for at in range(len(own)) if own[at] <= 5]
        shared = sum(_share_a_key(first[at], inner[at], copies[at], inner_copies[at]) for at in within)
        found[f"{name}: pairs within 5 bits that share a key"] = f"{shared} of {len(within)}"
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
                    data = normalise(read_bytes(image.uri), max_side=SIDE, max_pixels=50_000_000).data
                except (ImageFault, OSError):
                    continue
                found.setdefault(data, PIL.Image.open(io.BytesIO(data)).convert("RGB"))
                if len(found) == most:
                    return list(found.values())
    return list(found.values())


def _encoded(image: PIL.Image.Image) -> PIL.Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=50)
    return PIL.Image.open(out)


def _halved(image: PIL.Image.Image) -> PIL.Image.Image:
    return image.resize((max(image.width // 2, 1), max(image.height // 2, 1)), PIL.Image.Resampling.BILINEAR)


def _cropped(part: float, image: PIL.Image.Image, *, below: bool = False) -> PIL.Image.Image:
    x, y = round(part * image.width), round(part * image.height)
    box = (0, 0, image.width, image.height - y) if below else (x, y, image.width - x, image.height - y)
    return _encoded(image.crop(box))


def _within(distances: np.ndarray) -> dict[int, float]:
    """The share of pairs within each number of bits."""
    return {bits: round(float((distances <= bits).mean()), 3) for bits in range(MOST + 1)}


def _hashes(images: list[PIL.Image.Image], hashed: Callable[[PIL.Image.Image], bytes] = image_hash) -> np.ndarray:
    return np.array([int.from_bytes(hashed(_small(image))) for image in images], np.uint64)


def _small(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image as the pipeline decodes it for its hashes."""
    out = io.BytesIO()
    image.save(out, "BMP")
    return open_published(normalise(out.getvalue(), max_side=SIDE, max_pixels=SIDE**2).data, at_least=HASH_SIDE)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(np.bitwise_count(one[:, None] ^ other[None, :]), int)


def _share_a_key(one: np.uint64, inner: np.uint64, other: np.uint64, other_inner: np.uint64) -> bool:
    def keyed(hashed: np.uint64) -> set[bytes]:
        return set(keys(int(hashed).to_bytes(8)))

    return bool(keyed(one) & (keyed(other) | keyed(other_inner)) or keyed(inner) & keyed(other))


if __name__ == "__main__":
    main()
