"""Small copies of images, embedded in the page."""

from __future__ import annotations

import base64
import io

import PIL.Image

from schemas.images import open_published


def jpeg(picture: PIL.Image.Image, side: int) -> bytes:
    """A JPEG of the picture with a longer side of at most `side` pixels; never enlarged."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=78, optimize=True)
    return out.getvalue()


class Album:
    """Images as data URIs, until `room` bytes of the page are used; after that None, and the page shows a note."""

    def __init__(self, room: int):
        self.room = room

    def add(self, data: str) -> str | None:
        """The data URI of a JPEG, given as base64; None if there is no space left."""
        uri = f"data:image/jpeg;base64,{data}"
        if len(uri) > self.room:
            return None
        self.room -= len(uri)
        return uri

    def add_picture(self, data: bytes, side: int) -> str | None:
        """The data URI of an image file of an instance, scaled down to `side` pixels.

        None if there is no space left, and for a file that no build publishes, because the folder may be untrusted.
        """
        try:
            picture = open_published(data)
        except ValueError:
            return None
        return self.add(base64.b64encode(jpeg(picture, side)).decode())
