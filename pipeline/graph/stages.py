"""What each stage of the DAG does to one document.

Each function runs once in each worker and returns the stage's `Step` (see `transforms.py`): a function from a document
to a document, often of a richer type, or to a `Drop`. Models are imported where they are used, so that a worker loads
only what it runs.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any, TypeVar

from filters import coherence as coherence_rules
from filters import presets, quality
from filters.drop_images import AnyDocument, drop_images
from filters.personal_data import replaced
from pipeline.coherence import SCORING_VERSION, WITNESS_VERSION
from pipeline.graph import outcomes
from pipeline.graph.content import check_images
from pipeline.graph.loaded import scorer_of
from pipeline.graph.transforms import Step
from pipeline.graph.writing import Staged
from pipeline.images.allowance import TIMEOUTS, allowance
from pipeline.images.faults import ImageFault
from pipeline.images.store import ImageStore
from pipeline.instances.assemble import assemble
from pipeline.instances.excerpt import best_excerpt, why_none
from pipeline.run import Run, image_store
from pipeline.storage.store import Store, content_key
from pipeline.storage.uris import is_http
from schemas import codec
from schemas.records import (
    Coherence,
    Document,
    Drop,
    DroppedDocument,
    Image,
    InstructedDocument,
    RatedDocument,
    ScoredDocument,
    StoredDocument,
    StoredImage,
    StoredSegment,
    Text,
)
from schemas.stage_names import STORE_IMAGES

if TYPE_CHECKING:
    from pipeline.coherence.scorer import Scorer

Known = TypeVar("Known", bound=Document)
Future = concurrent.futures.Future


def filter_text(run: Run) -> Step[Document, Document | Drop]:
    """The preset's rules about the text; before them, personal data are replaced if the preset asks for it."""
    counts = {"personal_data_replaced": 0} if run.preset.personal_data else {}

    def step(document: Document) -> Document | Drop:
        if counts:
            document, count = replaced(document, run.preset.personal_data)
            counts["personal_data_replaced"] += count
        return presets.filter_document(document, run.preset.document_rules) or document

    return Step(step, counts=lambda: counts)


def filter_headers(run: Run, images: ImageStore | None = None) -> Step[Document, Document | DroppedDocument]:
    """The preset's rules about image sizes.

    Sizes come from the headers of local files; for images on the web, from the corpus, if it states them. A damaged
    image passes: the next stage finds the damage. images: the run's image store, if it is another than `image_store(run)`.
    """
    images = images or image_store(run)

    def step(document: Document) -> Document | DroppedDocument:
        document, _ = change_images(document, lambda image: image if is_http(image.uri) else images.sized(image))
        return if_enough_images(run, presets.filter_images(document, run.preset.image_rules))

    return Step(step)


def if_enough_images(run: Run, document: AnyDocument) -> AnyDocument | DroppedDocument:
    """Apply the preset's `after_images` rules to a document that may have lost images."""
    drop = presets.filter_document(document, run.preset.after_images)
    return DroppedDocument(document, drop) if drop else document


def store_images(
    run: Run, images: ImageStore | None = None
) -> Step[Document, Future[StoredDocument | DroppedDocument]]:
    """Fetch and decode each image once, and store it in its normalised form.

    An image with a fault is removed. If no image is left, the document fails with the first fault. When the servers of
    its images have cost a document TIMEOUTS times the `timeout` of one, the rest has the fault `timeout`. images: as in
    `filter_headers`.
    """
    images = images or image_store(run)
    pool = concurrent.futures.ThreadPoolExecutor(run.config.images.workers, "images")

    def stored(document: Document) -> StoredDocument | DroppedDocument:
        if any(is_http(image.uri) for image in document.images):  # the headers of the others are known
            with allowance.of(TIMEOUTS * images.http.deadline):
                document, faults = change_images(document, images.sized)
            document = presets.filter_images(without_faults(document, faults), run.preset.image_rules)
        document, faults = change_images(document, images.store)
        document = without_faults(document, faults)
        segments = tuple(s for s in document.segments if isinstance(s, Text | StoredImage))
        return if_enough_images(run, StoredDocument.of(document, segments=segments))

    return Step(
        lambda document: pool.submit(stored, document), lambda: pool.shutdown(cancel_futures=True), images.counts
    )


def change_images(document: Document, change: Callable[[Image], Image]) -> tuple[Document, dict[int, ImageFault]]:
    """The document with `change` applied to each image, and the faults of images by position.

    Images with a fault are not changed.
    """
    faults: dict[int, ImageFault] = {}

    def changed(position: int, image: Image) -> Image:
        try:
            return change(image)
        except ImageFault as fault:
            faults[position] = fault
            return image

    images = iter([changed(position, image) for position, image in enumerate(document.images)])
    segments = tuple(next(images) if isinstance(s, Image) else s for s in document.segments)
    return dataclasses.replace(document, segments=segments), faults


def without_faults(document: Document, faults: dict[int, ImageFault]) -> Document:
    """The document without the images that had a fault. Raises the first fault if no image is left."""
    if faults and len(faults) == len(document.images):
        raise faults[0]
    # A fault has no measured value: record 0 readable images, where 1 was required.
    return drop_images(document, {at: Drop(fault.kind, 0.0, 1.0) for at, fault in faults.items()}, STORE_IMAGES)


def score_coherence(run: Run, scorer: Scorer | None = None) -> Step[list[StoredDocument], list[ScoredDocument]]:
    """Score a batch of documents; scores are cached by content.

    If the preset has `content` rules, the images that break them are removed here. scorer: a model that is loaded
    already; without it, it is loaded if a score is not in the cache.
    """
    cache, images = Store(run.store("scores")), image_store(run)
    counts = {"scored": 0, "from_cache": 0}

    def loaded() -> Scorer:
        return scorer or scorer_of(run)

    check = check_images(run, loaded) if run.preset.content_rules else None

    def step(documents: list[StoredDocument]) -> list[ScoredDocument]:
        keys = [score_key(run, document) for document in documents]
        known = {key: value for key in keys if (value := cache.read_json(key)) is not None}
        missing = {key: document for key, document in zip(keys, documents, strict=True) if key not in known}
        counts["scored"] += len(missing)
        counts["from_cache"] += len(documents) - len(missing)
        if missing:
            for key, score in zip(missing, loaded().score(list(missing.values()), images.open), strict=True):
                known[key] = dataclasses.asdict(score)
                cache.write(key, json.dumps(known[key]).encode())
        found = [ScoredDocument.of(d, coherence=_coherence(known[key])) for d, key in zip(documents, keys, strict=True)]
        return check(found) if check else found

    return Step(step, counts=lambda: counts)


def score_key(run: Run, document: StoredDocument) -> str:
    """What the scores of a document are kept under."""
    return content_key(
        "coherence",
        SCORING_VERSION,
        run.provenance.clip,
        [_scored_by(s) for s in document.segments],
        *([WITNESS_VERSION, dataclasses.astuple(run.config.ocr)] if run.config.ocr else []),
    )


def _scored_by(segment: StoredSegment) -> str | list[str]:
    """What a score depends on: the text, or the image's hash and the text that was read in it."""
    if isinstance(segment, Text):
        return segment.text
    return segment.sha256 if segment.ocr is None else [segment.sha256, segment.ocr]


def _coherence(value: dict[str, Any]) -> Coherence:
    lists = ("matched", "mismatched", "max_previous_similarity")
    return Coherence(**value | {name: tuple(value[name]) for name in lists})


def filter_coherence(run: Run) -> Step[ScoredDocument, ScoredDocument | Drop]:
    """The rules about the coherence of the whole document.

    They come before the worst images are removed and the best excerpt is taken, which would make documents with wrong
    images look better.
    """
    return Step(lambda document: _incoherent(run, document) or document)


def _incoherent(run: Run, document: ScoredDocument) -> Drop | None:
    if not document.coherence.matched:
        return None  # the next stages drop what has no image
    rules = run.config.coherence
    return coherence_rules.mean_score(document, at_least=rules.mean_at_least) or coherence_rules.margin(
        document, at_least=rules.margin_at_least
    )


def filter_images(run: Run) -> Step[ScoredDocument, ScoredDocument | DroppedDocument]:
    """Remove images that match no text next to them, and images that repeat an earlier one."""
    rules = run.config.coherence
    return Step(
        lambda document: if_enough_images(
            run,
            coherence_rules.filter_images(
                document, matched_at_least=rules.matched_at_least, similarity_at_most=rules.similarity_at_most
            ),
        )
    )


def take_excerpt(run: Run) -> Step[tuple[ScoredDocument, Container[bytes]], ScoredDocument | DroppedDocument]:
    """The excerpt that becomes the instance.

    It has enough words, an image, and at least the coherence that is asked of the document; if there is none, the
    document is dropped. Each document comes with the keys of the headings that recur.
    """
    limits = dataclasses.asdict(run.config.excerpt)

    def coherent(excerpt: ScoredDocument) -> bool:
        return _incoherent(run, excerpt) is None

    def step(given: tuple[ScoredDocument, Container[bytes]]) -> ScoredDocument | DroppedDocument:
        document, recurring = given
        excerpt = best_excerpt(document, recurring=recurring, fits=coherent, **limits)
        if excerpt:
            return excerpt
        why = why_none(document, recurring=recurring, **limits)
        return DroppedDocument(document, Drop("no_excerpt", 0.0, 1.0), why)

    return Step(step)


def filter_ratings(run: Run) -> Step[RatedDocument, RatedDocument | Drop]:
    """The rules about the ratings."""
    rules = run.config.ratings
    return Step(
        lambda document: (
            quality.lowest_rating(document, at_least=rules.lowest_at_least)
            or quality.mean_rating(document, at_least=rules.mean_at_least)
            or document
        )
    )


def assemble_instance(run: Run) -> Step[InstructedDocument, Staged]:
    """Make the instance and put its JSON into a store; only its key and its ledger row are passed on."""
    instances, config = Store(run.store("instances")), run.config

    def step(document: InstructedDocument) -> Staged:
        key = codec.key_of(document.id)
        instance = assemble(
            document,
            key=key,
            context_free=config.split.context_free,
            min_words=config.excerpt.min_words,
            salt=config.shards.salt,
            provenance=run.provenance,
        )
        data = codec.json_bytes(codec.to_json(instance))
        waiting = content_key(data.decode())
        instances.write(waiting, data)
        return Staged(waiting, outcomes.kept(document, shard="", key=key))

    return Step(step)
