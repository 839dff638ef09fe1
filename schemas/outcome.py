"""What happened to an input document: one row of the ledger."""

from __future__ import annotations

import dataclasses

from schemas.records import ImageDrop

KEPT, DROPPED, FAILED = "kept", "dropped", "failed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The ledger's one row for an input document.

    status `kept`: `shard` and `key` say where. `dropped`: `stage`, `rule`, `value`, `threshold` say why. `failed`:
    `stage`, `error` (its kind) and `detail` say why. `scores` has everything that was measured before the document
    ended (name, value); `images` is the number of its images at that time.

    >>> row = Outcome("tea", "manuals", "docs.jsonl:1", DROPPED, "filter_text", "word_count", 9.0, 80.0)
    >>> row.stage, row.rule, row.value < row.threshold
    ('filter_text', 'word_count', True)
    """

    id: str
    source: str
    location: str
    status: str
    stage: str = ""
    rule: str = ""
    value: float | None = None
    threshold: float | None = None
    error: str = ""
    detail: str = ""
    shard: str = ""
    key: str = ""
    images: int = 0
    dropped_images: tuple[ImageDrop, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()
    title: str = ""
