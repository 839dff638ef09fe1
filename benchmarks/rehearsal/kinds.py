"""The kinds of planted documents: how many of each there are, and how each must end.

The ends are written down here, and not computed by the rules that are tested. Of 7,000 documents 185 are kept, as
184,982 of about 7 million were in the LeafInstruct dataset. How many reach each part of the pipeline is as assumed for
that run: half of the documents are scored, and a quarter is rated. How these shares are divided among the rules is this
project's choice: every rule has some.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from schemas.outcome import DROPPED, FAILED, KEPT
from schemas.stage_names import (
    ASSEMBLE,
    COMPARE_IMAGES,
    DEDUPLICATE,
    FILTER_COHERENCE,
    FILTER_HEADERS,
    FILTER_RATINGS,
    FILTER_TEXT,
    RATE_TEXT,
    READ,
    STORE_IMAGES,
    TAKE_EXCERPT,
    WRITE_INSTRUCTION,
)

WHOLE = 7000
"""The shares are documents in so many."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of document.

    share: how many of `WHOLE` documents are of this kind; 0 stands for all that are left. status, stage, why: how it
    ends, `why` being the rule or the error in the ledger. images: those of its instance. lost: the images that are
    removed from it, by rule. least: how many there must be for the end to be right.
    """

    share: int
    status: str
    stage: str
    why: str = ""
    images: int = 0
    lost: Mapping[str, int] = dataclasses.field(default_factory=dict)
    least: int = 1

    @property
    def end(self) -> tuple[str, str, str]:
        """Status, stage, and rule or error."""
        return self.status, self.stage, self.why


def _unread(error: str) -> Kind:
    return Kind(7, FAILED, READ, error)


def _ends(stage: str, why: str, share: int, least: int = 1, **lost: int) -> Kind:
    return Kind(share, DROPPED, stage, why, lost=lost, least=least)


def _kept(share: int, images: int = 1, **lost: int) -> Kind:
    return Kind(share, KEPT, ASSEMBLE, images=images, lost=lost)


KINDS: dict[str, Kind] = {
    "bad_json": _unread("bad_json"),
    "bad_record": _unread("bad_record"),
    "bad_utf8": _unread("bad_utf8"),
    "not_an_object": _unread("not_an_object"),
    "duplicate_id": _ends(DEDUPLICATE, "duplicate_id", 70),
    "duplicate_text": _ends(DEDUPLICATE, "duplicate_text", 210),
    "near_duplicate": _ends(DEDUPLICATE, "near_duplicate_text", 210),
    "word_count": _ends(FILTER_TEXT, "word_count", 0),
    "stop_words": _ends(FILTER_TEXT, "stop_word_share", 420),
    "marks": _ends(FILTER_TEXT, "alphabetic_words", 70),
    "long_words": _ends(FILTER_TEXT, "mean_word_length", 70),
    "leaders": _ends(FILTER_TEXT, "special_characters", 70),
    "code": _ends(FILTER_TEXT, "code", 70),
    "table": _ends(FILTER_TEXT, "table_lines", 140),
    "capitals": _ends(FILTER_TEXT, "upper_case", 70),
    "teasers": _ends(FILTER_TEXT, "ellipsis_lines", 70),
    "pasted_twice": _ends(FILTER_TEXT, "duplicate_lines", 140),
    "template": _ends(FILTER_TEXT, "word_repetition", 140),
    "no_image": _ends(FILTER_HEADERS, "image_count", 400),
    "small_image": _ends(FILTER_HEADERS, "image_count", 70, shorter_side=1),
    "endless_image": _ends(FILTER_HEADERS, "image_count", 7, longer_side=1),
    "banner": _ends(FILTER_HEADERS, "image_count", 70, aspect_ratio=1),
    "gallery": _ends(FILTER_HEADERS, "image_count", 7),
    "icon_sheet": _ends(FILTER_HEADERS, "words_per_image", 35),
    "truncated": Kind(35, FAILED, STORE_IMAGES, "truncated"),
    "missing": Kind(35, FAILED, STORE_IMAGES, "missing"),
    "no_picture": Kind(35, FAILED, STORE_IMAGES, "unsupported_format"),
    "repeated_image": _ends(COMPARE_IMAGES, "image_count", 140, repeated_image=1),
    "logo": _ends(COMPARE_IMAGES, "image_count", 140, least=11, recurring_image=1),
    "unrelated_image": _ends(FILTER_COHERENCE, "mean_score", 900),
    "weak_images": _ends(FILTER_COHERENCE, "mean_score", 350),
    "exchanged_images": _ends(FILTER_COHERENCE, "margin", 250),
    "one_paragraph": _ends(TAKE_EXCERPT, "no_excerpt", 70),
    "no_rating": Kind(5, FAILED, RATE_TEXT, "invalid_answer"),
    "one_bad_rating": _ends(FILTER_RATINGS, "fluency", 700),
    "low_ratings": _ends(FILTER_RATINGS, "mean_rating", 650),
    "asks_for_else": _ends(WRITE_INSTRUCTION, "instruction_about", 40),
    "asks_nothing": _ends(WRITE_INSTRUCTION, "instruction_asks", 12),
    "asks_in_a_word": _ends(WRITE_INSTRUCTION, "instruction_length", 12),
    "asks_of_a_text": _ends(WRITE_INSTRUCTION, "instruction_placeholder", 12),
    "asks_in_its_words": _ends(WRITE_INSTRUCTION, "instruction_copied", 12),
    "asks_too_much": _ends(WRITE_INSTRUCTION, "instruction_gives_away", 12),
    "kept": _kept(100),
    "kept_with_two": _kept(50, images=2),
    "kept_without_logo": _kept(15, recurring_image=1),
    "kept_without_copy": _kept(10, repeated_image=1),
    "kept_without_twin": _kept(5, near_duplicate=1),
    "kept_without_banner": _kept(5, aspect_ratio=1),
}


def counts(documents: int) -> dict[str, int]:
    """How many documents of each kind a corpus of so many has. Raises ValueError if they are too few for all kinds."""
    found = _with_a_share(documents)
    rest = next(name for name, kind in KINDS.items() if not kind.share)
    found[rest] = documents - sum(found.values())
    if found[rest] < 1:
        enough = next(n for n in itertools.count(documents) if n > sum(_with_a_share(n).values()))
        raise ValueError(f"{documents} documents are too few for all kinds: take at least {enough}")
    return {name: found[name] for name in KINDS}


def _with_a_share(documents: int) -> dict[str, int]:
    """How many documents a corpus of so many has of each kind but the one that gets the rest."""
    return {name: max(kind.least, documents * kind.share // WHOLE) for name, kind in KINDS.items() if kind.share}
