"""The names of the stages, in their order: the same in the DAG, the ledger and the funnel."""

from __future__ import annotations

READ, DEDUPLICATE, FILTER_TEXT, FILTER_HEADERS = "read", "deduplicate", "filter_text", "filter_headers"
STORE_IMAGES, COMPARE_IMAGES, DECONTAMINATE = "store_images", "compare_images", "decontaminate"
READ_IMAGES, SCORE_COHERENCE, FILTER_IMAGES = "read_images", "score_coherence", "filter_images"
TAKE_EXCERPT, FILTER_COHERENCE, RATE_TEXT = "take_excerpt", "filter_coherence", "rate_text"
FILTER_RATINGS, WRITE_INSTRUCTION, ASSEMBLE = "filter_ratings", "write_instruction", "assemble"

STAGES = (
    READ,
    DEDUPLICATE,
    FILTER_TEXT,
    FILTER_HEADERS,
    STORE_IMAGES,
    COMPARE_IMAGES,
    DECONTAMINATE,
    READ_IMAGES,
    SCORE_COHERENCE,
    FILTER_IMAGES,
    TAKE_EXCERPT,
    FILTER_COHERENCE,
    RATE_TEXT,
    FILTER_RATINGS,
    WRITE_INSTRUCTION,
    ASSEMBLE,
)
"""The stages at which a document can end, in their order."""


def stage_title(stage: str) -> str:
    """The stage's name as a label of the DAG and a title of the funnel.

    >>> stage_title("filter_text")
    'Filter text'
    """
    return stage.replace("_", " ").capitalize()
