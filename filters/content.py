"""Rules about what an image shows; a preset turns them on. Each gets the number that `pipeline/content/` measured.

The numbers of `unsafe_image` and `watermark` belong to one coherence model, so a limit for one model means nothing for
another.
"""

from __future__ import annotations

from filters.limits import within
from schemas.records import Drop


def unsafe_image(difference: float, *, at_most: float) -> Drop | None:
    """Nudity, sex or gore: the best cosine with a description of it, minus the best with one of something harmless."""
    return within("unsafe_image", difference, at_most=at_most)


def watermark(difference: float, *, at_most: float) -> Drop | None:
    """A watermark: the best cosine with a description of one, minus the best with one of a picture without."""
    return within("watermark", difference, at_most=at_most)


def faces(count: float, *, at_most: float) -> Drop | None:
    """The number of faces that look towards the camera."""
    return within("faces", count, at_most=at_most)


def nudity(probability: float, *, at_most: float) -> Drop | None:
    """The highest probability, from 0 to 1, of an exposed part of a body (NudeNet)."""
    return within("nudity", probability, at_most=at_most)


RULES = (unsafe_image, watermark, faces, nudity)
