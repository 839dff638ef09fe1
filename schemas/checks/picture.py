"""One picture of a sample: is it the file that its JSON describes?"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator

import PIL.Image

from schemas.codec import Json

FORMATS = {"jpg": "JPEG", "png": "PNG"}


def check(data: bytes, segment: Json, pointer: str) -> Iterator[tuple[str, str, str]]:
    """(kind, message, pointer) of each defect of these bytes against an image segment."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != segment["sha256"]:
        yield "image-sha256", f"{segment['image']} has the sha256 {digest}", f"{pointer}/sha256"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(io.BytesIO(data), formats=tuple(FORMATS.values()))
        form, size, mode = image.format, image.size, image.mode
        if size == (segment["width"], segment["height"]):  # a wrong size may be a huge one: do not decode that
            image.load()
    except Exception as error:  # noqa: BLE001 - decoders raise nearly anything on damaged bytes
        yield "image-undecodable", f"{segment['image']} cannot be decoded: {error}", f"{pointer}/image"
        return
    if form != FORMATS[segment["image"][-3:]]:
        yield "image-format", f"{segment['image']} is a {form} file", f"{pointer}/image"
    if mode != "RGB":
        yield "image-mode", f"{segment['image']} is {mode}, not RGB", f"{pointer}/image"
    for name, value in zip(("width", "height"), size, strict=False):
        if value != segment[name]:
            yield "image-size", f"{segment['image']} has the {name} {value}, not {segment[name]}", f"{pointer}/{name}"
