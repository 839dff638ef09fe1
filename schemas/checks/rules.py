"""The rules that a manifest's configuration implies.

Which ones may drop a document at which stage, and at which values.

The configuration of another pipeline may lack any part; what is missing is not checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from schemas.codec import Json
from schemas.stage_names import (
    COMPARE_IMAGES,
    DECONTAMINATE,
    DEDUPLICATE,
    FILTER_COHERENCE,
    FILTER_HEADERS,
    FILTER_IMAGES,
    FILTER_RATINGS,
    FILTER_TEXT,
    SCORE_COHERENCE,
    STORE_IMAGES,
    TAKE_EXCERPT,
    WRITE_INSTRUCTION,
)

Bounds = tuple[float | None, float | None]
"""The lowest and the highest value that pass a rule; None if it has no limit on that side."""

OURS = ("text.", "repetition.", "image.", "content.")
"""Modules whose rules give their drops the function's name. A user's own rule may give them any name."""


FROM_ON = {"repeated_image", "near_duplicate_text"}
"""Rules that also drop a value equal to the threshold; all others drop only beyond it."""


@dataclasses.dataclass(frozen=True)
class Allowed:
    """The rules that may drop at a stage, each with its bounds.

    None if they are not known, several if a preset names the rule twice. closed: there are no other rules.
    """

    bounds: Mapping[str, list[Bounds]]
    closed: bool = True

    def fault(self, rule: str, value: float, threshold: float) -> str:
        """Why this rule cannot have dropped something with this value here; empty if it can."""
        if rule not in self.bounds and self.closed:
            return f"no rule {rule!r} drops there"
        bounds = self.bounds.get(rule)
        equal = value == threshold and rule not in FROM_ON
        if equal or (
            bounds
            and not any(
                (low is not None and threshold == low and value < low)
                or (high is not None and threshold == high and value >= high)
                for low, high in bounds
            )
        ):
            return (
                f"{rule} {value} is on the side of {threshold} that passes, or the configuration has another threshold"
            )
        return ""


@dataclasses.dataclass(frozen=True)
class Rules:
    """What may be dropped at which stage: documents, and images of documents that continue."""

    documents: Mapping[str, Allowed]
    images: Mapping[str, Allowed]


def threshold(config: Json, section: str, name: str) -> float | None:
    """A threshold of the configuration, None if it has none.

    >>> threshold({"ratings": {"mean_at_least": 4.5}}, "ratings", "mean_at_least")
    4.5
    """
    found: float | None = config.get(section, {}).get(name)
    return found


def of(manifest: Json) -> Rules:
    """The rules of a manifest's configuration, and those that every run has."""
    config = manifest["config"]

    def least(section: str, name: str) -> list[Bounds]:
        found = threshold(config, section, name)
        return [] if found is None else [(found, None)]

    most_alike = threshold(config, "coherence", "similarity_at_most")
    after_images = _preset(config, "after_images")
    near = threshold(config, "duplicates", "text_at_least")
    most: dict[str, list[Bounds]] = {rule: [(None, 1.0)] for rule in ("duplicate_id", "id_taken", "duplicate_text")}
    if near is not None:
        most["near_duplicate_text"] = [(None, near)]
    recurs = threshold(config, "duplicates", "images_in_at_most")
    return Rules(
        documents={
            DEDUPLICATE: Allowed(most),
            DECONTAMINATE: Allowed({f"benchmark_{kind}": [(None, 0.0)] for kind in ("id", "text", "image")}),
            FILTER_TEXT: _preset(config, "document"),
            FILTER_HEADERS: after_images,
            STORE_IMAGES: after_images,
            COMPARE_IMAGES: after_images,
            FILTER_IMAGES: after_images,
            TAKE_EXCERPT: Allowed({"no_excerpt": [(1.0, None)]}),
            FILTER_COHERENCE: Allowed(
                {"mean_score": least("coherence", "mean_at_least"), "margin": least("coherence", "margin_at_least")}
            ),
            FILTER_RATINGS: Allowed(
                {"mean_rating": least("ratings", "mean_at_least")}
                | {aspect: least("ratings", "lowest_at_least") for aspect in manifest["rating_aspects"]}
            ),
            WRITE_INSTRUCTION: Allowed({}, closed=False),
        },
        images={
            FILTER_HEADERS: _preset(config, "image"),
            STORE_IMAGES: Allowed({}, closed=False),  # not rules, but the faults of images
            COMPARE_IMAGES: Allowed(
                {"repeated_image": [], "recurring_image": [] if recurs is None else [(None, recurs)]}
            ),
            FILTER_IMAGES: Allowed(
                {
                    "matched_score": least("coherence", "matched_at_least"),
                    "near_duplicate": [] if most_alike is None else [(None, most_alike)],
                }
            ),
        }
        | ({SCORE_COHERENCE: _preset(config, "content")} if config.get("rules", {}).get("content") else {}),
    )


def _preset(config: Json, section: str) -> Allowed:
    """The rules of one section of the preset; closed if the section exists and has only rules of this package."""
    rules = config.get("rules", {}).get(section)
    bounds: dict[str, list[Bounds]] = {}
    for rule in rules or ():
        name = rule["rule"].rpartition(".")[2]
        low = 1.0 if name == "file_type" else rule.get("at_least")
        bounds.setdefault(name, []).append((low, rule.get("at_most")))
    return Allowed(bounds, closed=rules is not None and all(rule["rule"].startswith(OURS) for rule in rules))
