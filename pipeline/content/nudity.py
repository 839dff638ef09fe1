"""The probability of exposed parts of a body, by NudeNet where it is installed; its model is in its package."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import PIL.Image
from nudenet import NudeDetector

from pipeline.content import Detector

PARTS = {
    *("BUTTOCKS_EXPOSED", "FEMALE_BREAST_EXPOSED", "FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED"),
    "ANUS_EXPOSED",
}
"""The classes that count; NudeNet also finds faces, feet, armpits, bellies and men's chests."""


def detector() -> Detector:
    """The highest probability of one of `PARTS` in an image, rounded to 4 decimals; 0 if none is found."""
    engine = NudeDetector()

    def probability(picture: PIL.Image.Image) -> float:
        pixels = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])  # OpenCV's order of colours
        return round(max((float(p["score"]) for p in engine.detect(pixels) if p["class"] in PARTS), default=0.0), 4)

    version = f"nudenet@{importlib.metadata.version('nudenet')}"
    return Detector(version, lambda hashes, open_image: [probability(open_image(sha256)) for sha256 in hashes])
