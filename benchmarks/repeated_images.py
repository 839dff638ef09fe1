"""Repeated images: which planted copies are found at each number of bits, and how many other pairs are.

    python -m benchmarks.repeated_images --corpus native:../shared/corpora/howto.tar --images 400

Copies: encoded again (JPEG, quality 50), at half the size, and cropped by 5 % of each side. Every picture is compared
with every copy, by imagehash's pHash itself; how many of the pairs within the bits share a key of ours is the recall of
the keys. Different images of one corpus may really show the same, so pairs are also shown without those whose originals
are similar already.
"""

from __future__ import annotations

import argparse
import io
import json

import numpy as np
import PIL.Image

from filters.decontaminate import image_hash
from filters.repeated_images import keys
from pipeline import config, corpora
from pipeline.images.children import normalise
from pipeline.images.faults import ImageFault
from pipeline.sources import Corpus
from pipeline.storage.uris import is_http, read_bytes
from schemas.records import Document

MOST = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    originals = _originals(config.parse_corpus(options.corpus), options.images)
    first = _hashes(originals)
    apart = _distances(first, first) > 10
    np.fill_diagonal(apart, False)
    found: dict[str, object] = {"images": len(originals)}
    for name, change in {"encoded again": _encoded, "half the size": _halved, "cropped 5 %": _cropped}.items():
        copies = _hashes([change(image) for image in originals])
        distances = _distances(first, copies)
        own = np.diag(distances)
        found[name] = {bits: round(float((own <= bits).mean()), 3) for bits in range(MOST + 1)}
        found[f"{name}: wrong pairs"] = {bits: int((apart & (distances <= bits)).sum()) for bits in range(MOST + 1)}
        within = [at for at in range(len(own)) if own[at] <= 5]
        shared = sum(bool(_keys(first[at]) & _keys(copies[at])) for at in within)
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
                    data = normalise(read_bytes(image.uri), max_side=512, max_pixels=50_000_000).data
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


def _cropped(image: PIL.Image.Image) -> PIL.Image.Image:
    x, y = image.width // 20, image.height // 20
    return image.crop((x, y, image.width - x, image.height - y))


def _hashes(images: list[PIL.Image.Image]) -> np.ndarray:
    return np.array([int.from_bytes(image_hash(image)) for image in images], np.uint64)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(np.bitwise_count(one[:, None] ^ other[None, :]), int)


def _keys(hashed: np.uint64) -> set[bytes]:
    return set(keys(int(hashed).to_bytes(8)))


if __name__ == "__main__":
    main()
