"""Removes control characters from documents, so that no escape sequence of a record gets into the pipeline."""

from __future__ import annotations

import dataclasses

from schemas.controls import without_controls
from schemas.records import Document, Image, Segment, Text


def cleaned(document: Document) -> Document:
    """The document without control characters in its texts; a text that becomes empty is removed.

    Its id has none, and the addresses of its images are not changed.
    """
    segments = tuple(s for s in map(_segment, document.segments) if not isinstance(s, Text) or s.text.strip())
    return dataclasses.replace(
        document,
        segments=segments,
        source=without_controls(document.source),
        title=without_controls(document.title),
        url=without_controls(document.url),
        license=without_controls(document.license),
    )


def _segment(segment: Segment) -> Segment:
    if isinstance(segment, Image):
        return dataclasses.replace(
            segment, alt=without_controls(segment.alt), caption=without_controls(segment.caption)
        )
    return Text(without_controls(segment.text))
