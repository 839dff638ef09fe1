"""Copies of documents with planted damage: images and texts that do not belong together, or that say nothing new.

What is exchanged, and for what, follows from hashes of the ids and of the images, so the same documents always give the
same copies. Some documents have no copy of a kind: one image cannot be put into another order, and a source may have no
other document.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from filters.words import is_heading, sentences, words
from pipeline.coherence.places import places
from pipeline.coherence.thresholds import with_images
from schemas.records import StoredDocument, StoredImage, StoredSegment, Text

AnyStored = TypeVar("AnyStored", bound=StoredDocument)
Damage = Callable[[Sequence[StoredDocument]], list[StoredDocument]]


def order(*names: str) -> bytes:
    """The sort key of documents, and of the images of one document: a hash of their names."""
    return hashlib.sha256("\0".join(names).encode()).digest()


def swapped(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Every image replaced by one of another document of the same source."""
    return [
        with_images(document, others[: len(document.images)])
        for document, others in _others(documents)
        if len(others) >= len(document.images)
    ]


def half_swapped(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Half of the images (rounded down) replaced by images of other documents of the same source."""
    copies = []
    for document, others in _others(documents):
        planted = _shuffled(document, len(document.images))[: len(document.images) // 2]
        if 0 < len(planted) <= len(others):
            images = list(document.images)
            for position, other in zip(planted, others, strict=False):
                images[position] = other
            copies.append(with_images(document, tuple(images)))
    return copies


def permuted(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """The document's own images in another order, in which none keeps its position.

    If each comes to the same text as before, nothing is damaged, and there is no copy.
    """
    copies = []
    for document in documents:
        images, texts = list(document.images), [place.sentences for place in places(document)]
        moved = list(_moved(document, len(images)))
        for position, taken in moved:
            images[position] = document.images[taken]
        if any(texts[a] != texts[b] and images[a].sha256 != document.images[a].sha256 for a, b in moved):
            copies.append(with_images(document, tuple(images)))
    return copies


def other_texts(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """The document's images, evenly distributed over the title and the texts of another document of any source."""
    ring = sorted(documents, key=lambda document: order(document.id))
    return [
        dataclasses.replace(document, title=other.title, segments=_distributed(document.images, other.texts))
        for document, other in zip(ring, ring[1:] + ring[:1], strict=True)
        if other is not document and other.texts and document.images
    ]


def captions_copied(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """A copy of each image's caption (or else of its alternative text, or of the text in it) in place of all texts.

    Documents in which no image has one are left out.
    """
    copies = []
    for document in documents:
        copied = [image.caption or image.alt or image.ocr or "" for image in document.images]
        if any(map(words, copied)):
            segments: list[StoredSegment] = []
            for image, text in zip(document.images, copied, strict=True):
                segments += [image, Text(text)] if text else [image]
            copies.append(dataclasses.replace(document, segments=tuple(segments)))
    return copies


def shuffled(documents: Sequence[AnyStored]) -> list[AnyStored]:
    """The sentences of all texts in another order, in which none keeps its place.

    Headings, images and what stands between sentences stay where they are.
    """
    copies = []
    for document in documents:
        pieces = [
            [] if isinstance(s, StoredImage) or is_heading(s.text) else _pieces(s.text) for s in document.segments
        ]
        places = [(at, k) for at, own in enumerate(pieces) for k in range(1, len(own), 2)]
        before = [pieces[at][k] for at, k in places]
        for place, taken in _moved(document, len(places)):
            at, k = places[place]
            pieces[at][k] = before[taken]
        if len(set(before)) > 1:
            segments = (Text("".join(own)) if own else s for own, s in zip(pieces, document.segments, strict=True))
            copies.append(dataclasses.replace(document, segments=tuple(segments)))
    return copies


KINDS: dict[str, Damage] = {
    "swapped": swapped,
    "permuted": permuted,
    "other_texts": other_texts,
    "half_swapped": half_swapped,
}


def _others(documents: Sequence[StoredDocument]) -> list[tuple[StoredDocument, tuple[StoredImage, ...]]]:
    """Each document with the distinct images of the other documents of its source, none of which it has itself."""
    sources: dict[str, list[StoredDocument]] = {}
    for document in sorted(documents, key=lambda document: order(document.id)):
        if document.images:
            sources.setdefault(document.source, []).append(document)
    found = []
    for ring in sources.values():
        for at, document in enumerate(ring):
            own = {image.sha256 for image in document.images}
            after = itertools.chain(ring[at + 1 :], ring[:at])
            others = {image.sha256: image for other in after for image in other.images}
            found.append((document, tuple(image for sha256, image in others.items() if sha256 not in own)))
    return found


def _shuffled(document: StoredDocument, count: int) -> list[int]:
    """The numbers from 0 to `count` - 1 in an order of the document's own."""
    return sorted(range(count), key=lambda position: order(document.id, str(position)))


def _moved(document: StoredDocument, count: int) -> Iterator[tuple[int, int]]:
    """For each of `count` places, the place whose content it gets: never its own, if there are several."""
    cycle = _shuffled(document, count)
    return zip(cycle, cycle[1:] + cycle[:1], strict=True)


def _pieces(text: str) -> list[str]:
    """The text in pieces: every second one, from the second, is a sentence; the others stand between them."""
    pieces, end = [], 0
    for sentence in sentences(text):
        start = text.find(sentence, end)
        if start >= 0:  # not a sentence with a line break after an abbreviation
            pieces += [text[end:start], sentence]
            end = start + len(sentence)
    return [*pieces, text[end:]]


def _distributed(images: tuple[StoredImage, ...], texts: tuple[str, ...]) -> tuple[StoredSegment, ...]:
    """All texts in their order, with the images after texts at even distances."""
    segments: list[StoredSegment] = []
    placed = 0
    for at, text in enumerate(texts):
        segments.append(Text(text))
        due = (at + 1) * (len(images) + 1) // len(texts) if at + 1 < len(texts) else len(images)
        segments += images[placed : min(due, len(images))]
        placed = max(placed, min(due, len(images)))
    return tuple(segments)
