"""Rules about how well pictures and text belong together, from the scores that `pipeline/coherence/scorer.py` wrote.

The thresholds are cosines of one model, so they have no defaults: `leafinstruct calibrate` derives them.
"""

from __future__ import annotations

from filters.drop_images import drop_images
from filters.limits import within
from schemas.codec import mean_coherence
from schemas.records import Document, Drop

OWN, DUPLICATE = "own_score", "near_duplicate"


def judge_coherence(document: Document, *, own_at_least: float, similar_at_most: float) -> Document:
    """The document without the pictures that fit no sentence beside them or that look like an earlier one.

    `own_score`: the best cosine with the sentences beside the picture is below `own_at_least`. `near_duplicate`: its
    cosine with an earlier picture of the document is above `similar_at_most`; also where that earlier one goes itself.
    The scores of the others stay as they were measured.
    """
    scores = document.coherence
    drops = {}
    for position, (own, similar) in enumerate(zip(scores.own, scores.similar, strict=True)):
        drop = (within(OWN, own, at_least=own_at_least) or within(DUPLICATE, similar, at_most=similar_at_most))
        if drop:
            drops[position] = drop
    return drop_images(document, drops, "picture_fit")


def mean_score(document: Document, *, at_least: float) -> Drop | None:
    """The mean of the pictures' own scores."""
    return within("mean_score", mean_coherence(document.coherence.own), at_least=at_least)


def margin(document: Document, *, at_least: float) -> Drop | None:
    """How much better the pictures fit their own text than the document's other text. With one picture there is no
    other text to compare with, and the document passes."""
    value = document.coherence.margin
    return None if value is None else within("margin", value, at_least=at_least)
