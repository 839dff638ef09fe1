"""The documents that subsets are drawn from and that models are measured on, before any stage has judged them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection

from tqdm import tqdm

from filters.drop_images import AnyDocument
from filters.words import words
from moss.small.pretrain import SOURCES
from pipeline.config import Excerpt
from pipeline.graph import reading, stages
from pipeline.images.faults import ImageFault
from pipeline.run import Run
from schemas.errors import UserError
from schemas.records import Document, Image, StoredDocument, Text


def without_rules(run: Run) -> Run:
    """The run with a preset that keeps every document and every image."""
    preset = dataclasses.replace(
        run.preset, document_rules=(), image_rules=(), after_images=(), content_rules=(), personal_data=()
    )
    return dataclasses.replace(run, preset=preset)


def stored_documents(run: Run, held_out: Collection[str]) -> tuple[list[StoredDocument], list[StoredDocument]]:
    """The documents to train on and those of the sources `held_out`, with stored images, in the corpus's order.

    Only documents that have an excerpt, and none of the sources that the generalist was trained on. Raises UserError if
    the corpus lacks one of the held-out sources.
    """
    records = [record for record in reading.records(run) if isinstance(record, Document)]
    if missing := set(held_out) - {record.source for record in records}:
        raise UserError(f"the corpus has no documents of {', '.join(sorted(missing))}; name others with --held-out")
    store = stages.store_images(without_rules(run))
    found: dict[str, StoredDocument] = {}
    try:
        for record in tqdm(records, desc="storing images", unit=" documents"):
            if record.source not in SOURCES:
                with contextlib.suppress(ImageFault):
                    document = store(record).result()
                    if isinstance(document, StoredDocument) and excerpt_of(document, run.config.excerpt):
                        found.setdefault(document.id, document)
    finally:
        store.close()
    return (
        [document for document in found.values() if document.source not in held_out],
        [document for document in found.values() if document.source in held_out],
    )


def excerpt_of(document: AnyDocument, limits: Excerpt) -> AnyDocument | None:
    """The segments from the text above the first image on, as many as the limits allow; None without text or image.

    The pipeline's own excerpt is chosen by form and coherence, which would be a stage more.
    """
    segments = document.segments
    first = next((at for at, segment in enumerate(segments) if isinstance(segment, Image)), 0)
    start = end = max(first - 1, 0)
    count = images = 0
    for segment in segments[start:]:
        count += len(words(segment.text)) if isinstance(segment, Text) else 0
        images += isinstance(segment, Image)
        if count > limits.max_words or images > limits.max_images:
            break
        end += 1
    excerpt = dataclasses.replace(document, segments=segments[start:end])
    return excerpt if excerpt.images and any(map(words, excerpt.texts)) else None
