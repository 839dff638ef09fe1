"""The three ends of a document, as rows of the ledger."""

from __future__ import annotations

from schemas.codec import mean_coherence
from schemas.errors import one_line
from schemas.records import DROPPED, FAILED, KEPT, Document, Drop, Fault, Image, Outcome


def kept(document: Document, shard: str, key: str) -> Outcome:
    return _outcome(document, status=KEPT, stage="assemble", shard=shard, key=key)


def dropped(document: Document, stage: str, drop: Drop, detail: str = "") -> Outcome:
    """A rule said no."""
    return _outcome(document, status=DROPPED, stage=stage, rule=drop.rule, value=drop.value, threshold=drop.threshold,
                    detail=detail)


def failed(document: Document, stage: str, error: Exception) -> Outcome:
    """Something broke. Errors of our own name their kind (`truncated`, `timeout`); others are named by their class."""
    return _outcome(document, status=FAILED, stage=stage, error=getattr(error, "kind", type(error).__name__),
                    detail=one_line(getattr(error, "detail", "") or str(error)))


def unreadable(fault: Fault) -> Outcome:
    """A record that the reader could not make a document of."""
    return Outcome(id=fault.id, source=fault.source, location=fault.location, status=FAILED, stage="read",
                   error=fault.error, detail=one_line(fault.detail))


def scores(document: Document) -> tuple[tuple[str, float], ...]:
    """Whatever has been measured of the document so far, by name."""
    found: list[tuple[str, float]] = []
    if coherence := document.coherence:
        if coherence.own:
            found.append(("coherence", mean_coherence(coherence.own)))
        found += [(name, value) for name, value in
                  (("margin", coherence.margin), ("recall_at_1", coherence.recall_at_1)) if value is not None]
    if ratings := document.ratings:
        found += [("fluency", ratings.fluency), ("text_coherence", ratings.coherence),
                  ("completeness", ratings.completeness), ("usefulness", ratings.usefulness)]
    if written := document.written:
        found.append(("attempts", float(written.attempts)))
    return tuple(found)


def _outcome(document: Document, **fields) -> Outcome:
    return Outcome(id=document.id, source=document.source, location=document.location, title=document.title,
                   images=sum(isinstance(s, Image) for s in document.segments),
                   dropped_images=document.dropped_images, scores=scores(document), **fields)
