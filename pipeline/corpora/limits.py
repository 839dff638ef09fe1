"""Limits on the length and content of a document's fields, so that none fills prompts, manifests, pages or the memory.

Of 1,768 documents of the howto corpora the longest have 245 characters of address, 123 of title, 4,576 of alternative
text, 15,673 in one text and 83,241 in all, and 731 segments.
"""

from __future__ import annotations

from pipeline.corpora.fields import BadRecord
from schemas.controls import without_controls
from schemas.records import Document, Text

MOST = {
    "id": 1_000,
    "source": 200,
    "title": 2_000,
    "license": 500,
    "url": 8_000,
    "uri": 8_000,
    "alt": 10_000,
    "caption": 10_000,
    "text": 1_000_000,
}
"""The most characters of a field; `uri` is an image's address."""
MOST_TEXT, MOST_SEGMENTS, MOST_IMAGES = 4_000_000, 20_000, 2_000
"""The most characters of all texts together, segments, and images of a document."""


def check(document: Document) -> None:
    """Raise BadRecord if the document exceeds a limit.

    `too_long` for a longer field or more segments, `bad_utf8` for half a surrogate pair (JSON can express it, UTF-8
    cannot), `bad_record` for an id or a source that no instance can have.
    """
    for name in ("id", "source", "title", "license", "url"):
        _check(name, getattr(document, name))
    if without_controls(document.id) != document.id:  # possible for an id made from a file's name
        raise BadRecord("bad_record", "a control character in the id")
    if not document.source.strip():
        raise BadRecord("bad_record", "a source of control characters alone")
    for segment in document.segments:
        if isinstance(segment, Text):
            _check("text", segment.text)
        else:
            for name in ("uri", "alt", "caption"):
                _check(name, getattr(segment, name))
    for what, count, most in (
        ("characters of text", sum(map(len, document.texts)), MOST_TEXT),
        ("segments", len(document.segments), MOST_SEGMENTS),
        ("images", len(document.images), MOST_IMAGES),
    ):
        if count > most:
            raise BadRecord("too_long", f"{count:,} {what}; at most {most:,}")


def _check(name: str, value: str) -> None:
    if len(value) > MOST[name]:
        raise BadRecord("too_long", f"{name} of {len(value):,} characters; at most {MOST[name]:,}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRecord("bad_utf8", f"half a surrogate pair in {name}") from None
