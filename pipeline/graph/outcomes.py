"""The outcomes of documents, as rows of the ledger: kept, dropped, failed."""

from __future__ import annotations

import traceback
from typing import Any

from pipeline.corpora.fields import READER_ERROR
from schemas.codec import mean_coherence, mean_rating
from schemas.errors import RecordFault, one_line
from schemas.outcome import DROPPED, FAILED, KEPT, Outcome
from schemas.records import Document, Drop, Fault, Image, InstructedDocument, RatedDocument, ScoredDocument
from schemas.stage_names import ASSEMBLE, READ

BUG = "bug:"
"""The prefix of the ledger's `error` for a document that failed because of a bug (`--keep-going`)."""


def is_bug(error: str) -> bool:
    """Whether the ledger's `error` says that a bug failed the document, in a stage or in a reader."""
    return error.startswith(BUG) or error == READER_ERROR


def kept(document: Document, shard: str, key: str) -> Outcome:
    """The outcome of a document that became an instance."""
    return _outcome(document, status=KEPT, stage=ASSEMBLE, shard=shard, key=key)


def dropped(document: Document, stage: str, drop: Drop, detail: str = "") -> Outcome:
    """The outcome of a document that a rule dropped."""
    return _outcome(
        document, status=DROPPED, stage=stage, rule=drop.rule, value=drop.value, threshold=drop.threshold, detail=detail
    )


def failed(document: Document, stage: str, error: Exception) -> Outcome:
    """The outcome of a document that failed: it is bad (RecordFault), or there is a bug and the run keeps going.

    For a bug, the row's `error` is `bug:` and the class of the exception, and its `detail` is the traceback.
    """
    if isinstance(error, RecordFault):
        return _outcome(document, status=FAILED, stage=stage, error=error.kind, detail=one_line(error.detail))
    trace = "".join(traceback.format_exception(error))
    return _outcome(document, status=FAILED, stage=stage, error=f"{BUG}{type(error).__name__}", detail=trace[-4000:])


def unreadable(fault: Fault) -> Outcome:
    """The outcome of a record that could not be read."""
    return Outcome(
        id=fault.id,
        source=fault.source,
        location=fault.location,
        status=FAILED,
        stage=READ,
        error=fault.error,
        detail=one_line(fault.detail),
    )


def scores(document: Document) -> tuple[tuple[str, float], ...]:
    """All scores of the document that have been measured so far, by name."""
    found: list[tuple[str, float]] = []
    if isinstance(document, ScoredDocument):
        coherence = document.coherence
        if coherence.matched:
            found.append(("coherence", mean_coherence(coherence.matched)))
        found += [
            (name, value)
            for name, value in (("margin", coherence.margin), ("recall_at_1", coherence.recall_at_1))
            if value is not None
        ]
    if isinstance(document, RatedDocument):
        found += [*document.ratings.items(), ("mean_rating", mean_rating(document.ratings))]
    if isinstance(document, InstructedDocument):
        found.append(("attempts", float(document.generated.attempts)))
    return tuple(found)


def _outcome(document: Document, **fields: Any) -> Outcome:
    return Outcome(
        id=document.id,
        source=document.source,
        location=document.location,
        title=document.title,
        images=sum(isinstance(s, Image) for s in document.segments),
        dropped_images=document.dropped_images,
        scores=scores(document),
        **fields,
    )
