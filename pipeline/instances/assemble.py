"""Makes an instance from a document with its scores, ratings and instruction."""

from __future__ import annotations

import hashlib

from filters.words import is_heading, words
from pipeline.instances.ends import breaks_in, ends_like_a_sentence
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
    document: InstructedDocument, *, key: str, context_free: float, min_words: int, salt: str, provenance: Provenance
) -> Instance:
    """Split the document into context and output, and make the instance.

    Context and output each have at least one text and one image, and the output has at least `min_words` words; if no
    split allows that, there is no context and the whole document is the output. `context_free` is the share of the
    documents that could be split but are not. A hash of salt and id decides which these are, and where the others are
    split, so every run splits in the same way. Raises AssembleFault for a document without text or without images.
    """
    context, output = split(document, context_free=context_free, min_words=min_words, salt=salt)
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
    document: StoredDocument, *, context_free: float, min_words: int, salt: str
) -> tuple[tuple[StoredSegment, ...], tuple[StoredSegment, ...]]:
    """The context and the output of a document; the context is empty if there is none (see `assemble`)."""
    segments = text_before_image(tuple(_unmarked(segment) for segment in document.segments))
    cuts = possible_cuts(segments, min_words)
    # `person`: another hash than that of the order of instances, so that contexts are everywhere in the data set
    draw = hashlib.blake2b(document.id.encode(), digest_size=16, key=salt.encode(), person=b"split").digest()
    share, pick = int.from_bytes(draw[:8]) / 2**64, int.from_bytes(draw[8:])
    cut = cuts[pick % len(cuts)] if cuts and share >= context_free else 0
    return segments[:cut], segments[cut:]


def _unmarked(segment: StoredSegment) -> StoredSegment:
    return Text(without_marker(segment.text)) if isinstance(segment, Text) else segment


def text_before_image(segments: tuple[StoredSegment, ...]) -> tuple[StoredSegment, ...]:
    """Move images before the first text to the position after it: an image follows the text that it belongs to.

    An image between two headings belongs to the first of them, and stays.
    """
    texts = [(i, s.text) for i, s in enumerate(segments) if isinstance(s, Text)]
    first = next((i for i, text in texts if not is_heading(text)), texts[0][0] if texts else None)
    if first is None or not any(isinstance(s, Image) for s in segments[:first]):
        return segments
    headings = [i for i, _ in texts if i < first]
    stays = range(headings[0], headings[-1]) if headings else range(0)
    moved: list[StoredSegment] = []
    waiting: list[StoredSegment] = []
    for i, segment in enumerate(segments[: first + 1]):
        if isinstance(segment, StoredImage) and i not in stays:
            waiting.append(segment)
        elif isinstance(segment, StoredImage):  # images keep their order
            moved += [*waiting, segment]
            waiting = []
        else:
            moved.append(segment)
    return (*moved, *waiting, *segments[first + 1 :])


def possible_cuts(segments: tuple[StoredSegment, ...], min_words: int) -> list[int]:
    """The positions at which the output may begin.

    The output begins at a text that does not follow a heading, and is not in the middle of a sentence; both sides have
    at least one text and one image, and the output at least `min_words` words.
    """

    # where no text ends like a sentence (captions, spoken steps), small letters say nothing
    written = any(ends_like_a_sentence(s.text) for s in segments if isinstance(s, Text))

    counts = [len(words(s.text)) if isinstance(s, Text) else 0 for s in segments]

    def follows_heading(i: int) -> bool:
        before = segments[i - 1]
        return isinstance(before, Text) and is_heading(before.text)

    return [
        i
        for i in range(1, len(segments))
        if isinstance(text := segments[i], Text)
        and not follows_heading(i)
        and not (written and breaks_in(text.text))
        and _has_both(segments[:i])
        and _has_both(segments[i:])
        and sum(counts[i:]) >= min_words
    ]


def _has_both(segments: tuple[StoredSegment, ...]) -> bool:
    return any(isinstance(s, Text) for s in segments) and any(isinstance(s, Image) for s in segments)
