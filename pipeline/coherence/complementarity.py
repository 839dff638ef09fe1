"""Whether a text and its images add to each other, or one of them only repeats the other.

An image is known here by its description: caption, alternative text, and the text that was read in it. So an image
without one counts for nothing, and a description that says little of its image makes the measure worse. Texts and
images that have nothing to do with each other add most: only together with coherence does the measure say something.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.coherence.places import places
from pipeline.coherence.words import rarity, stems
from schemas.records import Image, StoredDocument, StoredImage


class Complementarity(NamedTuple):
    """Two shares, from 0 to 1, rounded to 4 decimals.

    text_adds: of the words next to an image, those that no image's description has. image_adds: of the words of an
    image's description, those that the text next to it does not have. Words count by their rarity; both are means over
    the images.
    """

    text_adds: float
    image_adds: float

    @property
    def mean(self) -> float:
        """The mean of the two: 0 for a text that is a copy of the descriptions."""
        return round((self.text_adds + self.image_adds) / 2, 4)


def description(image: Image) -> str:
    """The texts that describe an image, one below the other; empty if there is none."""
    read = image.ocr if isinstance(image, StoredImage) else None
    return "\n".join(text for text in (image.caption, image.alt, read) if text)


def complementarity(document: StoredDocument) -> Complementarity | None:
    """How far text and images of a document add to each other.

    Only images with a description, and with text next to them (`places.py`), count; None if there is none.
    """
    described = [stems(description(image)) for image in document.images]
    anywhere = set[str]().union(*described)
    text_adds, image_adds = [], []
    for own, slot in zip(described, places(document), strict=True):
        beside = stems("\n".join(slot.sentences))
        if own and beside:
            text_adds.append(_new(beside, anywhere))
            image_adds.append(_new(own, beside))
    if not text_adds:
        return None
    return Complementarity(*(round(sum(shares) / len(shares), 4) for shares in (text_adds, image_adds)))


def _new(stems: set[str], known: set[str]) -> float:
    """The share of the stems, by rarity, that are not known."""
    # sorted, because the last digit of a sum depends on its order
    weights = {stem: rarity(stem) for stem in sorted(stems)}
    total = sum(weights.values())
    return sum(weight for stem, weight in weights.items() if stem not in known) / total if total else 0.0
