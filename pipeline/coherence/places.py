"""The text next to an image, and how well something matches it: a mean in which the best and the nearest count most."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from filters.words import plain, sentences, words
from schemas.records import Document, Image, Text

NEAREST = 6
"""The number of sentences on each side of an image that count as its own text: this project's choice, a paragraph."""

NEXT = 0.75
"""How much a sentence counts beside the one that matches next best: this project's choice (docs/quality.md).

The best sentence alone is one chance hit among twelve; the mean of all drowns it.
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """The text next to an image: up to `NEAREST` sentences before and after it, the nearest first.

    weights: what each sentence counts by its distance: 1 next to the image, then 2/3, 1/2, 2/5 and so on.
    """

    sentences: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, before: Iterable[str], after: Iterable[str]) -> Place:
        """The place between these sentences, each side with the nearest first.

        >>> Place.of(["Two.", "One."], ["Three."])
        Place(sentences=('Two.', 'One.', 'Three.'), weights=(1.0, 0.6666666666666666, 1.0))
        """
        sides = [[(sentence, 2 / (2 + k)) for k, sentence in enumerate(side)] for side in (before, after)]
        both = [*sides[0], *sides[1]]
        return cls(tuple(sentence for sentence, _ in both), tuple(weight for _, weight in both))


def places(document: Document) -> list[Place]:
    """The place of each image of a document.

    Consecutive images share the text around them; the text of an image ends at the next image. Alternative text and
    captions are left out: they describe the image, and would hide that it is in the wrong place.
    """
    segments = document.segments
    return [
        Place.of(_beside(segments[:i][::-1], backwards=True), _beside(segments[i + 1 :], backwards=False))
        for i, segment in enumerate(segments)
        if isinstance(segment, Image)
    ]


def _beside(segments: Iterable[Text | Image], *, backwards: bool) -> list[str]:
    found: list[str] = []
    for segment in segments:
        if isinstance(segment, Image):
            if found:
                break
            continue
        with_words = [sentence for sentence in sentences(plain(segment.text)) if words(sentence)]
        found += reversed(with_words) if backwards else with_words
        if len(found) >= NEAREST:
            break
    return found[:NEAREST]


def match(cosines: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """How well each of N vectors matches a place: the mean of its cosines [N, sentences], float64 [N].

    A sentence counts by its weight, and `NEXT` to the power of the number of sentences that match better. So the value
    lies between the mean and the best cosine, whatever their scale, and does not grow with the length of the text.

    >>> match(np.array([[0.1, 0.5, 0.1]]), (1.0, 1.0, 1.0)).round(4).tolist()
    [0.273]
    """
    order = np.argsort(-cosines, axis=1, kind="stable")
    counts = np.asarray(weights)[order] * NEXT ** np.arange(len(weights))
    matched: np.ndarray = (np.take_along_axis(cosines, order, axis=1) * counts).sum(axis=1) / counts.sum(axis=1)
    return matched
