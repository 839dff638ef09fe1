"""Refuses numbers in a configuration that no run could use, before a run finds out at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from schemas.errors import UserError
from schemas.records import MOST_CANDIDATES

_COUNT = (1, math.inf)
RANGES: dict[str, tuple[float, float]] = {
    "limit": _COUNT,
    "shards.size": _COUNT,
    "excerpt.max_images": (1, 100),
    "excerpt.max_words": _COUNT,
    "excerpt.min_words": (0, math.inf),
    "images.workers": _COUNT,
    "images.max_side": _COUNT,
    "images.max_bytes": _COUNT,
    "images.max_pixels": _COUNT,
    "clip.batch_documents": _COUNT,
    "ocr.side": _COUNT,
    "ocr.boxes": _COUNT,
    "coherence.matched_at_least": (-1, 1),
    "coherence.mean_at_least": (-1, 1),
    "coherence.margin_at_least": (-2, 2),
    "coherence.similarity_at_most": (-1, 1),
    "llm.concurrency": _COUNT,
    "llm.in_flight": _COUNT,
    "llm.max_model_len": _COUNT,
    "instructions.candidates": (1, MOST_CANDIDATES),
    "instructions.with_pictures": (0, 1),
    "ratings.lowest_at_least": (0, 5),  # no rating is below 1, so 0 is how a rule is switched off
    "ratings.mean_at_least": (0, 5),
    "split.context_free": (0, 1),
}
"""Key -> the smallest and the largest number that it may have."""


def check(settings: Mapping[str, Any], path: str) -> None:
    """Raise UserError with the file and the key for a number out of its range; `settings` has all keys."""
    for key, (least, most) in RANGES.items():
        value: Any = settings
        for name in key.split("."):
            value = None if value is None else value[name]
        if value is not None and not least <= value <= most:
            allowed = f"at least {least}" if most == math.inf else f"from {least} to {most}"
            raise UserError(f"{path}: {key} must be {allowed}, not {value}")
    for name, share in settings["instructions"]["kinds"].items():
        if not 0 <= share <= 1:
            raise UserError(f"{path}: instructions.kinds.{name} must be from 0 to 1, not {share}")
    for section in ("images", "llm"):
        if settings[section]["timeout"] <= 0:
            raise UserError(f"{path}: {section}.timeout must be above 0, not {settings[section]['timeout']}")
    for section, lower, upper in (("excerpt", "min_words", "max_words"), ("llm", "timeout", "deadline")):
        low, high = settings[section][lower], settings[section][upper]
        if low > high:
            raise UserError(f"{path}: {section}.{lower}, which is {low}, is above {section}.{upper}, which is {high}")
