"""Removes from documents what nobody sees: control characters, and what makes equal texts differ.

So no escape sequence of a record gets into the pipeline, and soft hyphens, spaces of no width and accents that are
characters of their own (NFD) neither split words nor hide a repeated text.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata

from schemas.controls import without_controls
from schemas.records import Document, Image, Segment, Text

_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")  # the joiners of Persian, Hindi and emoji stay


def cleaned(document: Document) -> Document:
    """The document without control characters; a text that becomes empty is removed.

    Its title, texts, alternative texts and captions have no unseen characters either, and are in Unicode's form NFC.
    Its id (`limits.check` refuses control characters in it) and the addresses of its images are not changed.
    """
    segments = tuple(s for s in map(_segment, document.segments) if not isinstance(s, Text) or s.text.strip())
    return dataclasses.replace(
        document,
        segments=segments,
        source=without_controls(document.source),
        title=_seen(document.title),
        url=without_controls(document.url),
        license=without_controls(document.license),
    )


def _segment(segment: Segment) -> Segment:
    if isinstance(segment, Image):
        return dataclasses.replace(segment, alt=_seen(segment.alt), caption=_seen(segment.caption))
    return Text(_seen(segment.text))


def _seen(text: str) -> str:
    text = without_controls(text)
    return text if text.isascii() else unicodedata.normalize("NFC", _UNSEEN.sub("", text))
