"""Text in images as a second source of evidence for coherence.

How it is combined with CLIP's cosines, and the weights for a model.

For an image with text, two more measures compare it with each place (the text next to an image): the cosines of the
image's text with the sentences there (by CLIP's own text tower), and the words that they share (`words.py`). Each of
the two is divided by its spread among mismatched pairs, and their sum by its own, so that what is read counts as much
as what is seen. The value halfway between right and wrong places is subtracted, because the presence of text alone says
nothing. The sum is in units of CLIP's cosines; the score of an image without text is theirs alone. The same formula
serves every CLIP model; the weights are derived from a corpus, without labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.config import Ocr
from schemas.errors import UserError

KEYS = ("similarity", "words", "neutral")

FEWEST = 50
"""The lowest number of images with text from which weights are derived."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """The measures of one document's images (rows) and places (columns); n x n each, float64.

    clip: how well the image matches the place (`places.match`). similarity: the same for the image's text. words:
    `words.shared`. alike: the cosines between images. has_text: for each image, whether text was read in it; the others
    have zeros. apart: whether the place of the one image has another text than that of the other.
    """

    clip: np.ndarray
    similarity: np.ndarray
    words: np.ndarray
    alike: np.ndarray
    has_text: np.ndarray
    apart: np.ndarray


def joined(found: Measures, ocr: Ocr | None) -> np.ndarray:
    """The measures combined into scores [image, place], from -1 to 1."""
    if ocr is None:
        return found.clip
    read = ocr.similarity * found.similarity + ocr.words * found.words - ocr.neutral
    return np.clip(found.clip + found.has_text[:, None] * read, -1, 1)


def weights(documents: Sequence[Measures], ocr: Ocr) -> Ocr:
    """The weights of a CLIP model, from a corpus whose images are assumed to match; the limits of `ocr` stay.

    Raises UserError for fewer than `FEWEST` images with text in documents of two or more images.
    """
    several = [found for found in documents if (found.apart & found.has_text[:, None]).any()]
    images = int(sum(found.has_text.sum() for found in several))
    if images < FEWEST:
        raise UserError(
            f"weights of the text in pictures need at least {FEWEST} images with text, in documents with several, and "
            f"there are {images}: give calibrate more with --corpus, or remove `ocr` from the configuration."
        )
    right = {name: _right(several, name) for name in ("clip", "similarity", "words")}
    wrong = {name: _wrong(several, name) for name in ("clip", "similarity", "words")}
    a, b = 1 / _spread(wrong["similarity"]), 1 / _spread(wrong["words"])
    scale = _spread(wrong["clip"]) / _spread(a * wrong["similarity"] + b * wrong["words"])
    similarity, words = scale * a, scale * b
    neutral = similarity * _halfway(right["similarity"], wrong["similarity"])
    neutral += words * _halfway(right["words"], wrong["words"])
    return dataclasses.replace(ocr, similarity=round(similarity, 4), words=round(words, 4), neutral=round(neutral, 4))


def _right(documents: Sequence[Measures], name: str) -> np.ndarray:
    return np.concatenate([np.diagonal(getattr(found, name))[found.has_text] for found in documents])


def _wrong(documents: Sequence[Measures], name: str) -> np.ndarray:
    return np.concatenate([getattr(found, name)[found.has_text[:, None] & found.apart] for found in documents])


def _spread(values: np.ndarray) -> float:
    """The standard deviation; never 0."""
    return max(float(values.std()), 1e-6)


def _halfway(right: np.ndarray, wrong: np.ndarray) -> float:
    return float(right.mean() + wrong.mean()) / 2
