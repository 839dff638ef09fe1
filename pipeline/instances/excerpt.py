"""The part of a document that becomes the instance.

Manuals and textbook chapters have thousands of words and dozens of images; the context of a model that trains on
interleaved sequences has space for a few images (Chameleon: 3 in 4,096 tokens). An excerpt is a sequence of whole
segments within the given numbers of words and images. It starts at the document's beginning or at a heading; headings
that recur across the source's documents do not count. If no such excerpt has an image, because the first image is too
far below its heading, it starts at any paragraph.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Container, Iterator, Sequence

from filters.drop_images import AnyDocument
from filters.headings import heading_key
from filters.words import is_heading, plain, words
from schemas.codec import mean_margin
from schemas.records import Coherence, Document, Image, ScoredDocument, Segment, Text

_GOES_ON = re.compile(r"\s*(?:(?:[-*+]|(?!1[.)])\d{1,2}[.)])\s|[a-z])")
"""A text that continues something: a list item whose number is not 1, or text that starts with a lower-case letter."""


def excerpts(
    document: AnyDocument,
    *,
    max_words: int,
    max_images: int,
    min_words: int = 40,
    recurring: Container[bytes] = frozenset(),
) -> Iterator[AnyDocument]:
    """Every excerpt that starts at the beginning or at a heading, in reading order.

    Each has as many segments as the limits allow, at least `min_words` words and at least one image. The title of an
    excerpt that does not start at the beginning is its first heading. Excerpts may overlap. recurring: the keys of the
    headings that do not count (`filters.headings`).
    """
    own = _own_headings(document, recurring)
    yield from _from(document, own, sorted({0, *own}), max_words, max_images, min_words)


def best_excerpt(
    document: AnyDocument,
    *,
    max_words: int,
    max_images: int,
    min_words: int = 40,
    recurring: Container[bytes] = frozenset(),
    fits: Callable[[AnyDocument], bool] = lambda _: True,
) -> AnyDocument | None:
    """The excerpt with the most images, then the best mean coherence, then the earliest; None if there is none.

    Only if no excerpt starts at a heading, one may start at any paragraph; only if there is none of these, inside a
    list or a sentence. Its title is the nearest heading above. recurring: as in `excerpts`. fits: whether an excerpt
    comes into question.
    """

    def worth(excerpt: Document) -> tuple[int, float]:
        matched = excerpt.coherence.matched if isinstance(excerpt, ScoredDocument) else ()
        return len(excerpt.images), round(sum(matched) / len(matched), 4) if matched else 0.0

    own = _own_headings(document, recurring)
    found = list(_from(document, own, sorted({0, *own}), max_words, max_images, min_words))
    texts = [(i, text) for i, text in _texts(document) if i in own or not is_heading(text)]
    for starts in ([i for i, text in texts if not _GOES_ON.match(text)], [i for i, _ in texts]):
        found = found or list(_from(document, own, starts, max_words, max_images, min_words))
    return max(filter(fits, found), key=worth, default=None)  # max() keeps the first of equals


def _texts(document: Document) -> list[tuple[int, str]]:
    return [(i, segment.text) for i, segment in enumerate(document.segments) if isinstance(segment, Text)]


def _own_headings(document: Document, recurring: Container[bytes]) -> set[int]:
    """The positions of the headings that do not recur."""
    return {
        i for i, text in _texts(document) if is_heading(text) and heading_key(document.source, text) not in recurring
    }


def _from(
    document: AnyDocument, headings: set[int], starts: list[int], max_words: int, max_images: int, min_words: int
) -> Iterator[AnyDocument]:
    """The excerpts from these starts that have an image and enough words; `headings` may be titles."""
    segments = document.segments
    for start in starts:
        piece = segments[start : _fill(segments, start, max_words, max_images)]
        count = sum(isinstance(s, Image) for s in piece)
        if not count or sum(len(words(s.text)) for s in piece if isinstance(s, Text)) < min_words:
            continue
        first_image = sum(isinstance(s, Image) for s in segments[:start])
        excerpt = dataclasses.replace(document, segments=piece, title=_title(document, headings, start))
        if isinstance(excerpt, ScoredDocument):
            scores = _part(excerpt.coherence, first_image, first_image + count)
            excerpt = dataclasses.replace(excerpt, coherence=scores)
        yield excerpt


def _title(document: Document, headings: set[int], start: int) -> str:
    """The document's title at its beginning, otherwise the nearest of the headings at the start or above it."""
    if start == 0:
        return document.title
    above = (s.text for i, s in enumerate(document.segments[: start + 1]) if i in headings and isinstance(s, Text))
    return plain(next(reversed(list(above)), "")) or document.title


def _fill(segments: Sequence[Segment], start: int, max_words: int, max_images: int) -> int:
    """The end of the longest excerpt from `start` within the limits, without headings at its end."""
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
    while stop > start and isinstance(last := segments[stop - 1], Text) and is_heading(last.text):
        stop -= 1
    return stop


def _part(coherence: Coherence, start: int, stop: int) -> Coherence:
    """The scores of the images from `start` to `stop`, with their margin; the first of them has no earlier image."""
    matched, mismatched = coherence.matched[start:stop], coherence.mismatched[start:stop]
    margin = None
    if coherence.margin is not None and matched:
        margin = mean_margin(matched, mismatched)
    similarity = (-1.0,) * bool(matched) + coherence.max_previous_similarity[start + 1 : stop]
    return dataclasses.replace(
        coherence, matched=matched, mismatched=mismatched, margin=margin, max_previous_similarity=similarity
    )
