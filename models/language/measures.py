"""The figures that `evaluate.py` reports, as plain functions."""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Callable, Sequence

from torch.nn.functional import normalize

from filters.words import words
from models.dual_encoder.data import Towers
from prompts import load as load_prompts

Alike = Callable[[Sequence[str], Sequence[str]], Sequence[Sequence[float]]]
"""Returns the similarity of each instruction to each title."""


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """The probability that a value of `high` is greater than one of `low`; ties count half.

    >>> auc([2, 3], [1, 2])
    0.875
    """
    wins = sum((h > v) + 0.5 * (h == v) for h in high for v in low)
    return wins / (len(high) * len(low))


def parrots(instruction: str, question: str, *, run: int = 5) -> bool:
    """Whether the instruction repeats `run` or more consecutive words of the prompt."""
    asked, own = (
        [w.casefold() for w in words(t)] for t in (instruction, f"{load_prompts('embedded').system} {question}")
    )
    grams = {tuple(own[i : i + run]) for i in range(len(own) - run + 1)}
    return any(tuple(asked[i : i + run]) in grams for i in range(len(asked) - run + 1))


def titles_found(
    instructions: Sequence[str], titles: Sequence[str], alike: Alike, *, among: int = 20, seed: int = 0
) -> float:
    """The share of instructions whose own title is the most similar of `among` random different titles.

    A tie with n wrong titles counts 1 / (n + 1); a similarity of 0 or less counts 0.
    """
    rng, distinct = random.Random(seed), sorted(set(titles))
    scores = alike(instructions, distinct)
    hits = 0.0
    for row, title in zip(scores, titles, strict=True):
        likeness = {other: round(float(value), 9) for other, value in zip(distinct, row, strict=True)}
        others = rng.sample([t for t in distinct if t != title], among - 1)
        own, rest = likeness[title], [likeness[t] for t in others]
        if own > 0 and own >= max(rest):
            hits += 1 / (1 + rest.count(own))
    return hits / len(titles)


def by_words(instructions: Sequence[str], titles: Sequence[str]) -> list[list[float]]:
    """[instructions, titles]: cosines of TF-IDF vectors of the words' first five letters, frequencies from `titles`."""
    frequency = collections.Counter(stem for title in titles for stem in set(_stems(title)))

    def vector(text: str) -> dict[str, float]:
        found = {
            s: n * math.log(len(titles) / frequency[s])
            for s, n in collections.Counter(_stems(text)).items()
            if s in frequency
        }
        norm = math.sqrt(sum(v * v for v in found.values())) or 1.0
        return {s: v / norm for s, v in found.items()}

    vectors = [vector(title) for title in titles]
    return [
        [sum(v * asked.get(s, 0.0) for s, v in own.items()) for own in vectors] for asked in map(vector, instructions)
    ]


def by_meaning(instructions: Sequence[str], titles: Sequence[str]) -> list[list[float]]:
    """[instructions, titles]: cosines of all-MiniLM-L6-v2's sentence vectors, the text tower of the coherence model."""
    tower = Towers("local-dir:build/models/coherence")
    asked, own = (normalize(tower.texts(list(dict.fromkeys(texts)))) for texts in (instructions, titles))
    rows = {text: i for i, text in enumerate(dict.fromkeys(instructions))}
    return (asked @ own.T)[[rows[text] for text in instructions]].tolist()


def _stems(text: str) -> list[str]:
    return [w.casefold()[:5] for w in words(text)]
