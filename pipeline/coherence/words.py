"""Counts the words that an image shows and the text next to it has too, weighted by how rare they are."""

from __future__ import annotations

import functools
import json
import math
import pathlib
from collections.abc import Iterable

from filters.words import plain, words

STEM = 6
"""Words are compared by their first letters, so that "filters" and "filter" are the same: this project's choice."""

RAREST = 0.01
"""The lowest share of documents that is distinguished; rarer words, and those of other languages, count as if they had
it."""

SHORT = 10.0
"""Added to the rarities of a place, about two rare words: so one common word does not fill a place of three words."""

TABLE = pathlib.Path(__file__).with_name("common_words.json")
"""Stem -> share of documents, made by `python -m models.common_words`; fixed, so that no score depends on others."""


def stems(text: str) -> set[str]:
    """The beginnings of the words of two letters or more, in lower case.

    >>> sorted(stems("Filters and a filter"))
    ['and', 'filter']
    """
    return {stem(word) for word in words(text) if len(word) > 1}


def stem(word: str) -> str:
    """The beginning of a word, in lower case."""
    return word.lower()[:STEM]


def shared(read: str, sentences: Iterable[str]) -> float:
    """How much of the place's words the image's text `read` has: their rarities, by the root of all the place's.

    The root makes long and short places comparable, as the length of a vector does in a cosine. OCR may lose the space
    between words: a stem of four letters or more is also found inside another word.
    """
    own, letters = stems(read), "".join(filter(str.isalnum, read.lower()))
    beside = sorted(stems(plain("\n".join(sentences))))  # sorted, because the last digit of a sum depends on its order
    both = sum(rarity(s) for s in beside if s in own or (len(s) > 3 and s in letters))
    return both / math.sqrt(sum(map(rarity, beside)) + SHORT)


def rarity(stem: str) -> float:
    """The negative logarithm of the share of documents with a word that begins with the stem: 0 to 4.6."""
    return -math.log(_shares().get(stem, RAREST))


@functools.cache
def _shares() -> dict[str, float]:
    found: dict[str, float] = json.loads(TABLE.read_text())
    return found
