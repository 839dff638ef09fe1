"""How well an instruction tells its document from others, by the words that both have."""

from __future__ import annotations

import collections

from filters.instruction import subject_words
from filters.words import plain, words
from pipeline.coherence.words import rarity, stem
from schemas.records import Document

OFTEN = 1.5
"""How fast another occurrence of a word in the document loses weight: k of BM25, at its usual value."""


def tells(instruction: str, document: Document) -> float:
    """The sum of the rarities of the instruction's subject words, each by how often the document has the word.

    It is BM25 of the document without a norm for its length: all candidates are compared on the same document. Rarity
    comes from a fixed table, so that no choice depends on other documents.
    """
    counts = collections.Counter(map(stem, words(plain("\n".join(document.texts)))))
    asked = sorted({stem(word) for word in subject_words(instruction) if not word.isdigit()})
    return round(sum(rarity(s) * counts[s] * (OFTEN + 1) / (counts[s] + OFTEN) for s in asked), 4)
