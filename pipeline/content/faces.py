"""Counts faces with the cascade of local binary patterns that scikit-image has in its package."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import PIL.Image
import skimage.data
import skimage.feature

from pipeline.content import Detector

SIDE = 480
"""The longer side, in pixels, of the image in which faces are searched."""

SMALLEST = 32
"""The side, in pixels of that image, of the smallest face that is found."""

NEIGHBOURS = 8
"""The number of overlapping windows that make a face: with scikit-image's 4, photographs without a face have some."""


def detector() -> Detector:
    """The number of faces in an image; the same one at several sizes counts once."""
    cascade = skimage.feature.Cascade(skimage.data.lbp_frontal_face_cascade_filename())

    def count(picture: PIL.Image.Image) -> float:
        picture = picture.convert("L")
        picture.thumbnail((SIDE, SIDE))
        if min(picture.size) < SMALLEST:
            return 0.0
        found = cascade.detect_multi_scale(
            img=np.asarray(picture),
            scale_factor=1.2,
            step_ratio=1.0,
            min_size=(SMALLEST, SMALLEST),
            max_size=(SIDE, SIDE),
            min_neighbor_number=NEIGHBOURS,
        )
        return float(len(found))

    version = f"scikit-image@{importlib.metadata.version('scikit-image')}/{SIDE}/{SMALLEST}/{NEIGHBOURS}"
    return Detector(version, lambda hashes, open_image: [count(open_image(sha256)) for sha256 in hashes])
