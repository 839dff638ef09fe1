"""Removing images from a document: the one place that keeps positions, drops and scores consistent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from schemas.codec import mean_margin
from schemas.records import Coherence, Document, Drop, Image, ImageDrop, ScoredDocument, Segment

AnyDocument = TypeVar("AnyDocument", bound=Document)


def drop_images(
    document: AnyDocument, drops: Mapping[int, Drop], stage: str, details: Mapping[int, str] | None = None
) -> AnyDocument:
    """The document without the images at these positions, each recorded in `dropped_images`.

    `drops` maps a position among the document's current images (from 0) to the reason, `details` a position to a text
    that says more. The recorded index counts the images as they were read, before earlier stages removed any; so call
    this before an excerpt is taken. Coherence scores lose the same positions. Without drops the document itself is
    returned.
    """
    if not drops:
        return document
    gone = {drop.index for drop in document.dropped_images}
    total = len(document.images) + len(gone)
    index = [i for i in range(total) if i not in gone]  # position among the current images -> index as read
    segments: list[Segment] = []
    recorded: list[ImageDrop] = []
    position = 0
    for segment in document.segments:
        if not isinstance(segment, Image):
            segments.append(segment)
            continue
        if position in drops:
            detail = (details or {}).get(position, "")
            recorded.append(ImageDrop(index[position], segment.uri, stage, drops[position], detail))
        else:
            segments.append(segment)
        position += 1
    document = dataclasses.replace(
        document,
        segments=tuple(segments),
        dropped_images=tuple(sorted((*document.dropped_images, *recorded), key=lambda drop: drop.index)),
    )
    if isinstance(document, ScoredDocument):
        document = dataclasses.replace(document, coherence=_without(document.coherence, drops))
    return document


def _without(coherence: Coherence, drops: Mapping[int, Drop]) -> Coherence:
    """The scores of the images that are left.

    `mismatched`, `max_previous_similarity` and `recall_at_1` keep the values that were measured among all images.
    """
    matched, mismatched, similarity = (
        tuple(value for i, value in enumerate(values) if i not in drops)
        for values in (coherence.matched, coherence.mismatched, coherence.max_previous_similarity)
    )
    margin, recall = None, None
    if len(matched) > 1 and coherence.margin is not None:
        margin = mean_margin(matched, mismatched)
        recall = coherence.recall_at_1
    return dataclasses.replace(
        coherence,
        matched=matched,
        mismatched=mismatched,
        max_previous_similarity=(-1.0,) * bool(similarity) + similarity[1:],
        margin=margin,
        recall_at_1=recall,
    )
