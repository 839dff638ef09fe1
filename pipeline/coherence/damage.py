"""Documents that were damaged on purpose: a measure of coherence has to tell them from the documents as they were."""

from __future__ import annotations

from schemas.records import Segment, StoredDocument, StoredImage, Text


def swapped(document: StoredDocument, other: StoredDocument) -> StoredDocument:
    """The document with the pictures of another one in the places of its own, from the first again if it has fewer."""
    places = iter(range(len(document.images)))
    return _with(document, [other.images[next(places) % len(other.images)] for _ in document.images])


def shuffled(document: StoredDocument) -> StoredDocument:
    """The document with its texts moved on by half of their number; the pictures stay in their places."""
    texts = [segment for segment in document.segments if isinstance(segment, Text)]
    half = len(texts) // 2
    moved = iter(texts[half:] + texts[:half])
    return StoredDocument.of(
        document, segments=tuple(next(moved) if isinstance(s, Text) else s for s in document.segments)
    )


def _with(document: StoredDocument, images: list[StoredImage]) -> StoredDocument:
    left = iter(images)
    segments: tuple[Segment, ...] = tuple(next(left) if isinstance(s, StoredImage) else s for s in document.segments)
    return StoredDocument.of(document, segments=segments)
