"""Counts the words that an image shows and the text next to it has too, weighted by how rare they are."""

from __future__ import annotations

import functools
import json
import math
import pathlib

from filters.words import words
from pipeline.coherence.places import Place

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


def in_image(read: str) -> tuple[set[str], str]:
    """The stems of an image's text, and all its letters and digits in a row."""
    return stems(read), "".join(filter(str.isalnum, read.lower()))


def at_place(place: Place) -> dict[str, float]:
    """Stem -> what it counts: its rarity, by the weight of the nearest sentence that has it.

    Sorted, because the last digit of a sum depends on its order.
    """
    nearest: dict[str, float] = {}
    for sentence, weight in zip(place.sentences, place.weights, strict=True):
        for found in stems(sentence):
            nearest[found] = max(nearest.get(found, 0.0), weight)
    return {found: weight * rarity(found) for found, weight in sorted(nearest.items())}


def shared(image: tuple[set[str], str], place: dict[str, float]) -> float:
    """How much of a place's words an image has (`at_place`, `in_image`): what they count, by the root of what all do.

    The root makes long and short places comparable, as the length of a vector does in a cosine. OCR may lose the space
    between words: a stem of four letters or more is also found inside another word.
    """
    own, letters = image
    both = sum(
        counts
        for found, counts in place.items()
        if found in own or (len(found) > 3 and found.replace("_", "") in letters)
    )
    return both / math.sqrt(sum(place.values()) + SHORT)


def rarity(stem: str) -> float:
    """The negative logarithm of the share of documents with a word that begins with the stem: 0 to 4.6."""
    return -math.log(_shares().get(stem, RAREST))


@functools.cache
def _shares() -> dict[str, float]:
    found: dict[str, float] = json.loads(TABLE.read_text())
    return found
