"""What the coherence model sees in an image, by a few descriptions (`prompts.yaml`): its vectors exist already."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.coherence.scorer import Scorer
from pipeline.content import Detector, OpenImage
from schemas import settings

PROMPTS = pathlib.Path(__file__).with_name("prompts.yaml")


@dataclasses.dataclass(frozen=True)
class Sides:
    """Descriptions of what is looked for, and of other images."""

    shows: tuple[str, ...]
    instead: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Prompts:
    """The file of prompts: one key a measure."""

    unsafe_image: Sides
    watermark: Sides


def detector(measure: str, model: str, scorer: Callable[[], Scorer]) -> Detector:
    """The measure `unsafe_image` or `watermark`, a difference of two cosines, rounded to 4 decimals.

    model: the coherence model's version. scorer: loads it, at the first image.
    """

    def differences(hashes: Sequence[str], open_image: OpenImage) -> list[float]:
        images = scorer().image_vectors(hashes, open_image)
        texts = scorer().text_vectors([*sides.shows, *sides.instead])
        shows, instead = (np.stack([texts[line] for line in side]) for side in (sides.shows, sides.instead))
        return [round(float((shows @ images[h]).max() - (instead @ images[h]).max()), 4) for h in hashes]

    sides: Sides = getattr(prompts(), measure)
    digest = hashlib.sha256(repr(sides).encode()).hexdigest()[:12]
    return Detector(f"{model}/{digest}", differences)


@functools.cache
def prompts() -> Prompts:
    """The prompts that come with the package."""
    return settings.build(Prompts, settings.read(str(PROMPTS), str(PROMPTS)), str(PROMPTS))
