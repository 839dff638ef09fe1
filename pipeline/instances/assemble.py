"""Makes an instance from a document with its scores, ratings and instruction."""

from __future__ import annotations

import hashlib

from filters.words import is_heading
from schemas.controls import without_controls
from schemas.errors import RecordFault
from schemas.records import (
    Image,
    Instance,
    InstructedDocument,
    Provenance,
    StoredDocument,
    StoredImage,
    StoredSegment,
    Text,
)
from schemas.template import without_marker


class AssembleFault(RecordFault):
    """The segments cannot make an instance."""


def assemble(
    document: InstructedDocument, *, key: str, context_free: float, salt: str, provenance: Provenance
) -> Instance:
    """Split the document into context and output, and make the instance.

    Context and output each have at least one text and one image; if no split allows that, there is no context and the
    whole document is the output. `context_free` is the share of the documents that could be split but are not. A hash
    of salt and id decides which these are, and where the others are split, so every run splits in the same way.
    Raises AssembleFault for a document without text or without images.
    """
    context, output = split(document, context_free=context_free, salt=salt)
    if not _has_both(output):
        raise AssembleFault("no_output", "an output needs a text and an image")
    return Instance(
        id=document.id,
        key=key,
        instruction=without_marker(without_controls(document.generated.instruction)),
        context=context,
        output=output,
        domain=document.generated.domain,
        title=document.title,
        source=document.source,
        url=document.url,
        license=document.license,
        coherence=document.coherence,
        ratings=document.ratings,
        provenance=provenance,
    )


def split(
    document: StoredDocument, *, context_free: float, salt: str
) -> tuple[tuple[StoredSegment, ...], tuple[StoredSegment, ...]]:
    """The context and the output of a document; the context is empty if there is none (see `assemble`)."""
    segments = text_before_image(tuple(_unmarked(segment) for segment in document.segments))
    cuts = possible_cuts(segments)
    draw = hashlib.blake2b(document.id.encode(), digest_size=16, key=salt.encode()).digest()
    share, pick = int.from_bytes(draw[:8]) / 2**64, int.from_bytes(draw[8:])
    cut = cuts[pick % len(cuts)] if cuts and share >= context_free else 0
    return segments[:cut], segments[cut:]


def _unmarked(segment: StoredSegment) -> StoredSegment:
    return Text(without_marker(segment.text)) if isinstance(segment, Text) else segment


def text_before_image(segments: tuple[StoredSegment, ...]) -> tuple[StoredSegment, ...]:
    """Move images before the first text to the position after it: an image follows the text that it belongs to."""
    texts = [(i, s.text) for i, s in enumerate(segments) if isinstance(s, Text)]
    first = next((i for i, text in texts if not is_heading(text)), texts[0][0] if texts else None)
    if first is None or not any(isinstance(s, Image) for s in segments[:first]):
        return segments
    head = segments[: first + 1]
    return (
        *(s for s in head if isinstance(s, Text)),
        *(s for s in head if isinstance(s, StoredImage)),
        *segments[first + 1 :],
    )


def possible_cuts(segments: tuple[StoredSegment, ...]) -> list[int]:
    """The positions at which the output may begin.

    The output begins at a text that does not follow a heading; both sides have at least one text and one image.
    """

    def follows_heading(i: int) -> bool:
        before = segments[i - 1]
        return isinstance(before, Text) and is_heading(before.text)

    return [
        i
        for i in range(1, len(segments))
        if isinstance(segments[i], Text)
        and not follows_heading(i)
        and _has_both(segments[:i])
        and _has_both(segments[i:])
    ]


def _has_both(segments: tuple[StoredSegment, ...]) -> bool:
    return any(isinstance(s, Text) for s in segments) and any(isinstance(s, Image) for s in segments)
