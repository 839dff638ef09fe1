"""The rows of `scores.parquet`: what is measured of one document."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from filters.words import words
from pipeline.coherence.complementarity import complementarity
from pipeline.graph import asking
from pipeline.graph.window import Window
from pipeline.instances.excerpt import best_excerpt
from pipeline.run import Run
from schemas.codec import mean_coherence, mean_rating
from schemas.errors import RecordFault
from schemas.records import Coherence, Document, ScoredDocument, StoredDocument, StoredImage

_FIELDS: list[tuple[str, Any]] = [
    ("id", pa.string()),
    ("location", pa.string()),
    ("source", pa.string()),
    ("title", pa.string()),
    ("words", pa.int64()),
    ("images", pa.int64()),
    ("lost_images", pa.list_(pa.string())),
    ("coherence", pa.float64()),
    ("margin", pa.float64()),
    ("recall_at_1", pa.float64()),
    ("matched", pa.list_(pa.float64())),
    ("complementarity", pa.float64()),
    ("text_adds", pa.float64()),
    ("image_adds", pa.float64()),
    ("mean_rating", pa.float64()),
    ("ratings", pa.map_(pa.string(), pa.float64())),
    ("error", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
Row = dict[str, Any]
Rate = Callable[[ScoredDocument], Any]
"""Starts to ask for the ratings of an excerpt: a future of the `RatedDocument`."""


def row_of(document: Document, error: str = "") -> Row:
    """The row of a document, without ratings; `error` is why a record has no scores."""
    row: Row = dict.fromkeys(SCHEMA.names) | {
        "id": document.id,
        "location": document.location,
        "source": document.source,
        "title": document.title,
        "words": sum(len(words(text)) for text in document.texts),
        "images": sum(isinstance(segment, StoredImage) for segment in document.segments),
        "lost_images": [lost.drop.rule for lost in document.dropped_images],
        "error": error,
    }
    if isinstance(document, ScoredDocument):
        row |= matches(document.coherence) | adds(document)
    return row


def matches(found: Coherence) -> Row:
    """What the coherence model measured."""
    return {
        "coherence": mean_coherence(found.matched) if found.matched else None,
        "margin": found.margin,
        "recall_at_1": found.recall_at_1,
        "matched": list(found.matched),
    }


def adds(document: StoredDocument) -> Row:
    """What text and images say beyond each other; nothing if no image is described."""
    if (found := complementarity(document)) is None:
        return {}
    return {"complementarity": found.mean} | found._asdict()


def excerpt_of(run: Run, document: ScoredDocument) -> ScoredDocument | None:
    """The excerpt that a build would take; None if there is none."""
    return best_excerpt(document, **dataclasses.asdict(run.config.excerpt))


def rate_all(run: Run, rate: Rate, excerpts: list[tuple[ScoredDocument | None, Row]]) -> None:
    """Add the ratings of each excerpt to its row, or why there are none."""
    window: Window[Row, Any] = Window(asking.at_once(run))
    finished: list[Any] = []
    for excerpt, row in excerpts:
        if excerpt is None:
            row["error"] = "no_excerpt"
        else:
            finished += window.add(row, rate(excerpt))
    for row, found in [*finished, *window.drain()]:
        if isinstance(found, RecordFault):
            row["error"] = found.kind
        elif isinstance(found, BaseException):
            raise found
        else:
            row |= {"ratings": dict(found.ratings), "mean_rating": mean_rating(found.ratings)}
