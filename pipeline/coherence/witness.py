"""Text in images as a second source of evidence for coherence.

How it is combined with CLIP's cosines, and the weights for a model.

For an image with text, two more measures compare it with each place (the sentences next to an image): the best cosine
of the image's text with a sentence there (by CLIP's own text tower), and the words that they share (`words.py`). Each
of the three is divided by its spread among mismatched pairs. They are summed, and the value halfway between right and
wrong places is subtracted, because the presence of text alone says nothing. The sum is in units of CLIP's cosines; the
score of an image without text is its cosine. The same formula serves every CLIP model; the weights are derived from a
corpus, without labels.
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

    clip: the best cosine of the image with a sentence. similarity: that of the image's text. words: `words.shared`.
    alike: the cosines between images. has_text: for each image, whether text was read in it; the others have zeros.
    """

    clip: np.ndarray
    similarity: np.ndarray
    words: np.ndarray
    alike: np.ndarray
    has_text: np.ndarray


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
    several = [found for found in documents if len(found.clip) > 1 and found.has_text.any()]
    images = int(sum(found.has_text.sum() for found in several))
    if images < FEWEST:
        raise UserError(
            f"weights of the text in pictures need at least {FEWEST} images with text, in documents with several, and "
            f"there are {images}: give calibrate more with --corpus, or remove `ocr` from the configuration."
        )
    clip, similarity, words = (_spread(several, name) for name in ("clip", "similarity", "words"))
    a, b = clip / similarity, clip / words
    neutral = a * _halfway(several, "similarity") + b * _halfway(several, "words")
    return dataclasses.replace(ocr, similarity=round(a, 4), words=round(b, 4), neutral=round(neutral, 4))


def _right(documents: Sequence[Measures], name: str) -> np.ndarray:
    return np.concatenate([np.diagonal(getattr(found, name))[found.has_text] for found in documents])


def _wrong(documents: Sequence[Measures], name: str) -> np.ndarray:
    return np.concatenate(
        [getattr(found, name)[found.has_text[:, None] & ~np.eye(len(found.clip), dtype=bool)] for found in documents]
    )


def _spread(documents: Sequence[Measures], name: str) -> float:
    """The standard deviation among mismatched pairs; never 0."""
    return max(float(_wrong(documents, name).std()), 1e-6)


def _halfway(documents: Sequence[Measures], name: str) -> float:
    return float(_right(documents, name).mean() + _wrong(documents, name).mean()) / 2
