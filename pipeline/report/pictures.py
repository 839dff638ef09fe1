"""Small copies of pictures, inside the page itself."""

from __future__ import annotations

import base64
import io

import PIL.Image


def jpeg(picture: PIL.Image.Image, side: int) -> bytes:
    """A JPEG of the picture whose longer side is at most `side` pixels; never larger than the picture."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=78, optimize=True)
    return out.getvalue()


class Album:
    """Pictures as data URIs, until `room` bytes of page are spent; then None, and the page says so in their place."""

    def __init__(self, room: int):
        self.room = room

    def add(self, data: str) -> str | None:
        """`data` is base64 of a JPEG."""
        uri = f"data:image/jpeg;base64,{data}"
        if len(uri) > self.room:
            return None
        self.room -= len(uri)
        return uri

    def add_picture(self, data: bytes, side: int) -> str | None:
        """`data` is a picture file."""
        with PIL.Image.open(io.BytesIO(data)) as picture:
            return self.add(base64.b64encode(jpeg(picture, side)).decode())
