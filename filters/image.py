"""Rules about one image, from its header alone: width, height and file extension.

Sizes are in pixels. A header does not show truncated data; the image store finds that. `filters.presets.filter_images`
calls these rules only if the size is known.
"""

from __future__ import annotations

import math
import posixpath

from filters.limits import within
from schemas.records import Drop, SizedImage


def shorter_side(image: SizedImage, *, at_least: float = 0, at_most: float = math.inf) -> Drop | None:
    """The shorter side in pixels: icons, bullets and spacers are small."""
    return within("shorter_side", min(image.width, image.height), at_least, at_most)


def longer_side(image: SizedImage, *, at_most: float) -> Drop | None:
    """The longer side in pixels."""
    return within("longer_side", max(image.width, image.height), at_most=at_most)


def aspect_ratio(image: SizedImage, *, at_most: float) -> Drop | None:
    """The longer side divided by the shorter one (never below 1): banners, lines and toolbars are long."""
    return within(
        "aspect_ratio", max(image.width, image.height) / max(1, min(image.width, image.height)), at_most=at_most
    )


def width_to_height(image: SizedImage, *, at_least: float = 0, at_most: float = math.inf) -> Drop | None:
    """Width divided by height. A lower limit of 1 drops every portrait image."""
    return within("width_to_height", image.width / max(1, image.height), at_least, at_most)


def file_type(image: SizedImage, *, allowed: list[str]) -> Drop | None:
    """The file extension (lower case, no dot) is among `allowed`; the value is 1 if it is, else 0.

    A name without an extension passes, like an image without a known format in OBELICS.
    """
    path = image.uri.split("?")[0].split("#")[0]
    ending = posixpath.splitext(path)[1].removeprefix(".").lower()
    return within("file_type", float(not ending or ending in allowed), at_least=1)
