"""The names of the stages, in their order: the same in the DAG, the ledger and the funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READ, DEDUPLICATE, FILTER_TEXT, FILTER_HEADERS = "read", "deduplicate", "filter_text", "filter_headers"
STORE_IMAGES, COMPARE_IMAGES, DECONTAMINATE = "store_images", "compare_images", "decontaminate"
READ_IMAGES, SCORE_COHERENCE, FILTER_COHERENCE = "read_images", "score_coherence", "filter_coherence"
FILTER_IMAGES, TAKE_EXCERPT, RATE_TEXT = "filter_images", "take_excerpt", "rate_text"
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
    FILTER_COHERENCE,
    FILTER_IMAGES,
    TAKE_EXCERPT,
    RATE_TEXT,
    FILTER_RATINGS,
    WRITE_INSTRUCTION,
    ASSEMBLE,
)
"""The stages at which a document can end, in their order."""

UNTIL = (STORE_IMAGES, SCORE_COHERENCE)
"""The stages after which a run can be stopped, because the next run finds all that they made."""


def stages_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The stages of a run, in their order: three are there only if its configuration asks for them.

    config: the configuration as plain JSON types, as it is in the manifest. Raises TypeError or ValueError if
    `duplicates` is not a section.

    >>> sorted(set(STAGES) - set(stages_of({"decontaminate": "benchmark.parquet"})))
    ['compare_images', 'read_images']
    """
    duplicates = dict(config.get("duplicates") or {})
    compared = any(duplicates.get(key) is not None for key in ("image_distance", "images_in_at_most"))
    asked_for = {
        COMPARE_IMAGES: compared,
        DECONTAMINATE: bool(config.get("decontaminate")),
        READ_IMAGES: bool(config.get("ocr")),
    }
    return tuple(stage for stage in STAGES if asked_for.get(stage, True))


def stage_title(stage: str) -> str:
    """The stage's name as a label of the DAG and a title of the funnel.

    >>> stage_title("filter_text")
    'Filter text'
    """
    return stage.replace("_", " ").capitalize()
