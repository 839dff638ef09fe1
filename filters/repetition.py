"""Rules about repetition: templates, generated reference pages, and text that was pasted twice."""

from __future__ import annotations

import math
from collections import Counter

from filters.limits import within
from filters.stats import TextStats
from schemas.records import Drop


def char_repetition(stats: TextStats, *, length: int, at_most: float) -> Drop | None:
    """Share of the character n-grams (n = `length`) that belong to the most frequent repeated ones.

    OBELICS' and BigScience's measure: of k different n-grams only the floor(sqrt(k)) most frequent count, and only
    those that occur more than once. It finds loops ("la la la"), not a paragraph that was pasted twice.
    """
    text = stats.text
    counts = Counter(text[i : i + length] for i in range(len(text) - length + 1))
    if not counts:
        return None
    repeated = sorted((n for n in counts.values() if n > 1), reverse=True)
    return within("char_repetition", sum(repeated[: math.isqrt(len(counts))]) / counts.total(), at_most=at_most)


def word_repetition(stats: TextStats, *, length: int, at_most: float) -> Drop | None:
    """Share of the word n-grams (n = `length`, lower case, without punctuation) that occur more than once."""
    words = [token.lower() for token in stats.sequence if token in stats.words]
    counts = Counter(zip(*(words[i:] for i in range(length)), strict=False))
    if not counts:
        return None
    return within("word_repetition", sum(n for n in counts.values() if n > 1) / counts.total(), at_most=at_most)


def duplicate_lines(stats: TextStats, *, at_most: float, shortest: int = 20) -> Drop | None:
    """Share of characters in lines that occurred in the document before.

    Lines shorter than `shortest` characters (headings such as "Example", brackets of code) are not counted.
    """
    lines = [line for line in map(str.strip, stats.lines) if len(line) >= shortest]
    if not lines:
        return None
    total = sum(map(len, lines))
    return within("duplicate_lines", (total - sum(map(len, set(lines)))) / total, at_most=at_most)
