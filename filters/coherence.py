"""Rules about how well images and text match, from the scores of `pipeline/coherence/scorer.py`.

The thresholds are cosines of one model, so they have no defaults: `leafinstruct calibrate` derives them.
"""

from __future__ import annotations

from filters.drop_images import drop_images
from filters.limits import within
from schemas.codec import mean_coherence
from schemas.records import Drop, ScoredDocument
from schemas.stage_names import FILTER_IMAGES

MATCHED, DUPLICATE = "matched_score", "near_duplicate"


def filter_images(document: ScoredDocument, *, matched_at_least: float, similarity_at_most: float) -> ScoredDocument:
    """The document without the images that match no sentence next to them or that repeat an earlier image.

    `matched_score`: the score with the text next to the image is below `matched_at_least`.
    `near_duplicate`: its cosine with an earlier image of the document is above `similarity_at_most`, even if that
    earlier image is dropped too. The scores of the other images do not change.
    """
    scores = document.coherence
    drops = {}
    for position, (matched, similarity) in enumerate(zip(scores.matched, scores.max_previous_similarity, strict=True)):
        drop = within(MATCHED, matched, at_least=matched_at_least) or within(
            DUPLICATE, similarity, at_most=similarity_at_most
        )
        if drop:
            drops[position] = drop
    return drop_images(document, drops, FILTER_IMAGES)


def mean_score(document: ScoredDocument, *, at_least: float) -> Drop | None:
    """Drops a document by the mean of its images' matched scores."""
    return within("mean_score", mean_coherence(document.coherence.matched), at_least=at_least)


def margin(document: ScoredDocument, *, at_least: float) -> Drop | None:
    """Drops a document by its margin.

    How much better its images match their own text than the text next to its other images.

    A document with a single image, or whose images all stand next to the same text, has no other text to compare with,
    and passes.
    """
    value = document.coherence.margin
    return None if value is None else within("margin", value, at_least=at_least)
