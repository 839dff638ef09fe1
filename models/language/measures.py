"""The numbers that `evaluate.py` reports, as plain functions."""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Sequence

import prompts
from filters.words import words


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """The chance that a value of `high` is greater than one of `low`; ties count half."""
    wins = sum((h > v) + 0.5 * (h == v) for h in high for v in low)
    return wins / (len(high) * len(low))


def parrots(instruction: str, question: str, *, run: int = 5) -> bool:
    """Does the instruction repeat `run` or more words of the prompt's own wording in a row?"""
    asked, own = ([w.casefold() for w in words(t)] for t in (instruction, f"{prompts.SYSTEM} {question}"))
    grams = {tuple(own[i:i + run]) for i in range(len(own) - run + 1)}
    return any(tuple(asked[i:i + run]) in grams for i in range(len(asked) - run + 1))


def titles_found(instructions: Sequence[str], titles: Sequence[str], *, among: int = 20, seed: int = 0) -> float:
    """The share of instructions whose own title is the likest of `among` random different titles.

    Likeness: cosine of TF-IDF vectors of the words' first five letters, document frequencies from `titles`. A tie with
    n wrong titles counts 1 / (n + 1).
    """
    rng, distinct = random.Random(seed), sorted(set(titles))
    frequency = collections.Counter(stem for title in distinct for stem in set(_stems(title)))

    def vector(text: str) -> dict[str, float]:
        found = {s: n * math.log(len(distinct) / frequency[s]) for s, n in collections.Counter(_stems(text)).items()
                 if s in frequency}
        norm = math.sqrt(sum(v * v for v in found.values())) or 1.0
        return {s: v / norm for s, v in found.items()}

    hits = 0.0
    for instruction, title in zip(instructions, titles, strict=True):
        asked = vector(instruction)
        others = rng.sample([t for t in distinct if t != title], among - 1)
        own, *rest = (round(sum(v * asked.get(s, 0.0) for s, v in vector(t).items()), 9) for t in (title, *others))
        if own > 0 and own >= max(rest):
            hits += 1 / (1 + rest.count(own))
    return hits / len(titles)


def _stems(text: str) -> list[str]:
    return [w.casefold()[:5] for w in words(text)]
