"""The part of a document that becomes the instance.

Manuals and textbook chapters run to thousands of words and dozens of pictures; a model that trains on interleaved
sequences has room for a few (Chameleon: 3 images in 4,096 tokens). An excerpt is a run of whole segments that starts
at the document's beginning or at a heading, and that stays within the given numbers of words and images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from filters.words import is_heading, plain, words
from schemas.records import Coherence, Document, Image, Text


def excerpts(document: Document, *, max_words: int, max_images: int, min_words: int = 40) -> Iterator[Document]:
    """Every excerpt of the document, in reading order: each fills up from its start and holds at least one image.

    The title of an excerpt that does not start at the beginning is its first heading. Excerpts may overlap; each
    starts at another heading.
    """
    segments = document.segments
    starts = [0] + [i for i, s in enumerate(segments) if i and isinstance(s, Text) and is_heading(s.text)]
    for start in starts:
        stop = _fill(segments, start, max_words, max_images)
        piece = segments[start:stop]
        if sum(len(words(s.text)) for s in piece if isinstance(s, Text)) < min_words:
            continue
        if not any(isinstance(s, Image) for s in piece):
            continue
        first_image = sum(isinstance(s, Image) for s in segments[:start])
        count = sum(isinstance(s, Image) for s in piece)
        title = document.title if start == 0 else plain(piece[0].text)
        yield dataclasses.replace(
            document, segments=piece, title=title or document.title,
            coherence=_part(document.coherence, first_image, first_image + count))


def best_excerpt(document: Document, *, max_words: int, max_images: int, min_words: int = 40) -> Document | None:
    """The excerpt with the most pictures, then the best mean coherence, then the earliest; None if there is none."""
    def worth(excerpt: Document) -> tuple[int, float]:
        own = excerpt.coherence.own if excerpt.coherence else ()
        return len(excerpt.images), round(sum(own) / len(own), 4) if own else 0.0
    return max(excerpts(document, max_words=max_words, max_images=max_images, min_words=min_words),
               key=worth, default=None)        # max() keeps the first of equals


def _fill(segments, start: int, max_words: int, max_images: int) -> int:
    """The end of the run from `start` that fits. A trailing heading is left to the next section."""
    count = images = 0
    stop = start
    for i in range(start, len(segments)):
        segment = segments[i]
        if isinstance(segment, Image):
            images += 1
        else:
            count += len(words(segment.text))
        if images > max_images or count > max_words:
            break
        stop = i + 1
    while stop > start and isinstance(segments[stop - 1], Text) and is_heading(segments[stop - 1].text):
        stop -= 1
    return stop


def _part(coherence: Coherence | None, start: int, stop: int) -> Coherence | None:
    """The scores of the images from `start` to `stop`; the margin is that of this part."""
    if coherence is None:
        return None
    own, other = coherence.own[start:stop], coherence.other[start:stop]
    margin = None
    if coherence.margin is not None and own:
        margin = round(sum(own) / len(own) - sum(other) / len(other), 4)
    return dataclasses.replace(coherence, own=own, other=other, similar=coherence.similar[start:stop], margin=margin)
