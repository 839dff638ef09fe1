"""The language that a document is written in, of the 140 that py3langid knows."""

from __future__ import annotations

import functools

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from filters.limits import within
from filters.stats import TextStats
from schemas.records import Drop

MOST = 5_000
"""The number of characters that are looked at: the beginning is enough to find the language."""


def probability(page: TextStats, *, allowed: list[str], at_least: float) -> Drop | None:
    """The probability that the text is in one of the languages `allowed` (ISO 639-1, such as en), 0 to 1."""
    ranks = _identifier().rank(page.text[:MOST])
    return within(
        "language", round(float(sum(share for name, share in ranks if name in allowed)), 4), at_least=at_least
    )


@functools.lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    """The language identifier; loading it takes a tenth of a second."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
