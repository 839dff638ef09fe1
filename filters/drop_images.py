"""Taking pictures out of a document: the one place that keeps indices, drops and scores in step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from schemas.records import Coherence, Document, Drop, Image, ImageDrop


def drop_images(document: Document, drops: Mapping[int, Drop], stage: str) -> Document:
    """The document without the images at these positions, each recorded in `dropped_images`.

    `drops` maps a position among the document's present images (from 0) to the reason. The recorded index counts the
    images as they were read, whatever earlier stages took out; so call this before an excerpt is cut. Coherence scores
    lose the same positions. With no drops the document itself comes back.
    """
    if not drops:
        return document
    gone = {drop.index for drop in document.dropped_images}
    total = len(document.images) + len(gone)
    index = [i for i in range(total) if i not in gone]         # position among the present images -> index as read
    segments, recorded, position = [], [], 0
    for segment in document.segments:
        if not isinstance(segment, Image):
            segments.append(segment)
            continue
        if position in drops:
            recorded.append(ImageDrop(index[position], segment.uri, stage, drops[position]))
        else:
            segments.append(segment)
        position += 1
    return dataclasses.replace(
        document, segments=tuple(segments),
        dropped_images=tuple(sorted((*document.dropped_images, *recorded), key=lambda drop: drop.index)),
        coherence=_without(document.coherence, drops))


def _without(coherence: Coherence | None, drops: Mapping[int, Drop]) -> Coherence | None:
    """The scores of the images that stay. `other`, `similar` and recall stay as measured among all of them."""
    if coherence is None:
        return None
    own, other, similar = (tuple(value for i, value in enumerate(values) if i not in drops)
                           for values in (coherence.own, coherence.other, coherence.similar))
    margin, recall = None, None
    if len(own) > 1 and coherence.margin is not None:
        margin, recall = round(sum(own) / len(own) - sum(other) / len(other), 4), coherence.recall_at_1
    return dataclasses.replace(coherence, own=own, other=other, similar=(-1.0,) * bool(similar) + similar[1:],
                               margin=margin, recall_at_1=recall)
