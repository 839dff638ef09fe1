"""How well CLIP, the text in images, and both together tell where an image belongs.

    python -m benchmarks.coherence_quality --corpus native:../shared/corpora/howto-large.tar --config configs/demo.yaml \
        --documents 15 --work build/quality [--json]

Documents pass the rules of the configuration; images are kept up to 1,024 pixels; alternative texts and captions are
taken away. The weights that combine the measures come from the sources that the embedded models were trained on
(`--weights`), the figures from held-out sources. All figures are AUC: the probability that the right one has the higher
score, ties as half.

other   an image's own place against the places of other documents of its source (mean over images)
within  against the other places of its document, if they have another text
swapped documents as they are against copies with all images from other documents of the source, by mean score
permuted  against copies with their images in another order, by margin

The time is CPU seconds of reading one image, all threads together, without a cache.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models import HELD_OUT
from pipeline import config as configuration
from pipeline.coherence.damage import order, permuted, swapped
from pipeline.coherence.places import places
from pipeline.coherence.scorer import Scorer, coherence, measures
from pipeline.coherence.witness import Measures, joined, weights
from pipeline.config import Config, Ocr
from pipeline.launch.stored import measured, read, stored_documents
from pipeline.ocr.reader import Reader
from pipeline.run import image_store
from pipeline.selftest.result import auc
from schemas.codec import mean_coherence
from schemas.records import Image, StoredDocument

IMAGES = (2, 8)
"""The least and the most images of a document that is measured."""

TIMED = 20
"""The number of images that are read once more, for the time."""

Scores = Callable[[Measures], np.ndarray]


def documents(config: Config, work: str, each: int, sources: int) -> dict[str, list[StoredDocument]]:
    """Up to `each` documents of each of the sources, with read images and without descriptions."""
    run = measured(dataclasses.replace(config, ocr=None), work)
    found: dict[str, list[StoredDocument]] = {}
    for document in sorted(stored_documents(run, 2 * each * sources), key=lambda document: order(document.id)):
        own = found.setdefault(document.source, [])
        if IMAGES[0] <= len(document.images) <= IMAGES[1] and len(own) < each:
            own.append(_undescribed(document))
    reading = dataclasses.replace(run, config=config)
    return {source: read(reading, own) for source, own in sorted(found.items())}


def _undescribed(document: StoredDocument) -> StoredDocument:
    segments = tuple(
        dataclasses.replace(s, alt="", caption="") if isinstance(s, Image) else s for s in document.segments
    )
    return dataclasses.replace(document, segments=segments)


@dataclasses.dataclass(frozen=True)
class Source:
    """The documents of one source, and the measures of all their images against all their places.

    owner: for each image its document's position, which is also that of its place.
    """

    documents: list[StoredDocument]
    found: Measures
    owner: np.ndarray

    @classmethod
    def of(cls, documents: list[StoredDocument], scorer: Scorer, open_image: Any) -> Source:
        images = [image for document in documents for image in document.images]
        slots = [place for document in documents for place in places(document)]
        reads = [" ".join((image.ocr or "").split()) for image in images]
        pictures = scorer.image_vectors([image.sha256 for image in images], open_image)
        texts = scorer.text_vectors([*(s for slot in slots for s in slot.sentences), *filter(None, reads)])
        found = measures([pictures[image.sha256] for image in images], slots, reads, texts)
        owner = np.array([at for at, document in enumerate(documents) for _ in document.images])
        return cls(documents, found, owner)

    def blocks(self) -> list[Measures]:
        """The measures of each document alone, as the pipeline has them."""
        return [self._block(np.flatnonzero(self.owner == at)) for at in range(len(self.documents))]

    def _block(self, rows: np.ndarray) -> Measures:
        cut = np.ix_(rows, rows)
        found = self.found
        clip, similarity, words, alike = (one[cut] for one in (found.clip, found.similarity, found.words, found.alike))
        return Measures(clip, similarity, words, alike, found.has_text[rows], found.apart[cut])


def figures(sources: Sequence[Source], scores: Scores, *, text_only: bool = False) -> dict[str, float | None]:
    """The four AUC; `text_only`: `other` and `within` over images with text alone."""
    other, within, images_measured = [], [], 0
    means: dict[str, list[float]] = {"true": [], "swapped": []}
    margins: dict[str, list[float]] = {"true": [], "permuted": []}
    for source in sources:
        table = scores(source.found)
        for i, row in enumerate(table):
            if text_only and not source.found.has_text[i]:
                continue
            images_measured += 1
            wins = (row[i] > row) + 0.5 * (row[i] == row)
            same = source.owner == source.owner[i]
            if (elsewhere := same & source.found.apart[i]).any():
                within.append(wins[elsewhere].mean())
            if not same.all():
                other.append(wins[~same].mean())
        rows = {image.sha256: i for i, image in enumerate(_images(source.documents))}
        for kind, copies in (
            ("true", source.documents),
            ("swapped", swapped(source.documents)),
            ("permuted", permuted(source.documents)),
        ):
            for copy in copies:
                at = next(k for k, document in enumerate(source.documents) if document.id == copy.id)
                own = np.flatnonzero(source.owner == at)
                images = np.array([rows[image.sha256] for image in copy.images])
                one = coherence(
                    table[np.ix_(images, own)], np.eye(len(images)), source.found.apart[np.ix_(own, own)], ""
                )
                if kind in means:
                    means[kind].append(mean_coherence(one.matched))
                if kind in margins and one.margin is not None:
                    margins[kind].append(one.margin)
    return {
        "other": round(float(np.mean(other)), 3) if other else None,
        "within": round(float(np.mean(within)), 3),
        "swapped": auc(means["true"], means["swapped"]),
        "permuted": auc(margins["true"], margins["permuted"]),
        "images": images_measured,
    }


def _images(documents: Sequence[StoredDocument]) -> list[Any]:
    return [image for document in documents for image in document.images]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--corpus", required=True, help="FORMAT:PATH")
    parser.add_argument("--documents", type=int, default=15, help="of each source")
    parser.add_argument("--sources", nargs="*", default=list(HELD_OUT), help="that the figures are of")
    parser.add_argument("--weights", nargs="*", default=["microbit", "openstax-physics"])
    parser.add_argument("--work", required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = configuration.load(options.config)
    ocr = base.ocr or Ocr(0.0, 0.0, 0.0)
    config = dataclasses.replace(
        base,
        corpora=(configuration.parse_corpus(options.corpus),),
        images=dataclasses.replace(base.images, max_side=1024),
        ocr=ocr,
    )
    by_source = documents(config, options.work, options.documents, len(options.sources) + len(options.weights))
    open_image = image_store(measured(config, options.work)).open
    scorer = Scorer(config.clip.model, config.clip.pretrained, config.clip.dtype)

    def chosen(names: Sequence[str]) -> list[Source]:
        return [Source.of(by_source[name], scorer, open_image) for name in names if by_source.get(name)]

    ocr = weights([block for source in chosen(options.weights) for block in source.blocks()], ocr)
    print(f"weights: {ocr}", file=sys.stderr)
    sources = chosen(options.sources)
    rows: dict[str, Scores] = {
        "CLIP alone": lambda found: found.clip,
        "text of the image alone": lambda found: found.similarity,
        "shared words alone": lambda found: found.words,
        "all": lambda found: joined(found, ocr),
    }
    table = {name: figures(sources, scores) for name, scores in rows.items()}
    table |= {
        f"{name}, images with text": figures(sources, rows[name], text_only=True) for name in ("CLIP alone", "all")
    }
    table |= {f"all, {one.documents[0].source}": figures([one], rows["all"]) for one in sources}
    table |= {f"CLIP alone, {one.documents[0].source}": figures([one], rows["CLIP alone"]) for one in sources}
    result = {
        "weights": dataclasses.asdict(ocr),
        "model": scorer.version,
        "documents": sum(len(one.documents) for one in sources),
        "with_text": round(float(np.mean(np.concatenate([one.found.has_text for one in sources]))), 3),
        "seconds": _seconds(_images([d for one in sources for d in one.documents]), ocr, open_image),
        "auc": table,
    }
    if options.json:
        print(json.dumps(result))
        return
    print({name: value for name, value in result.items() if name != "auc"})
    for name, row in table.items():
        print(f"| {name} | " + " | ".join("-" if value is None else f"{value:g}" for value in row.values()) + " |")


def _seconds(images: Sequence[Any], ocr: Ocr, open_image: Any) -> float:
    """CPU seconds an image, over images evenly drawn."""
    reader = Reader(ocr.side, ocr.boxes)
    drawn = images[:: max(1, len(images) // TIMED)][:TIMED]
    reader.read(open_image(drawn[0].sha256))  # warm up
    start = time.process_time()
    for image in drawn:
        reader.read(open_image(image.sha256))
    reader.close()
    return round((time.process_time() - start) / len(drawn), 3)


if __name__ == "__main__":
    main()
