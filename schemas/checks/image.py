"""Checks one image of a sample.

Whether it is the file that its JSON describes, in the form that the pipeline stores.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zlib
from collections.abc import Iterator

import PIL.Image

from schemas.codec import Json
from schemas.images import MAX_PIXELS, PNG_MAGIC, chunks, published_size

FORMATS = {"jpg": "JPEG", "png": "PNG"}
MAX_SIDE = 8192
"""The longest allowed side in pixels if the configuration states none."""

warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)  # pixels are bounded below

Fault = tuple[str, str, str]
"""(kind, message, JSON pointer)"""


def check(data: bytes, segment: Json, pointer: str, max_side: int | None = None) -> Iterator[Fault]:
    """The defects of an image file, compared with its segment in the JSON.

    Nothing is decoded if the header states another size than the segment, a side longer than `max_side` pixels, or a
    form that `schemas.images` does not allow.
    """
    name, at = segment["image"], f"{pointer}/image"
    digest = hashlib.sha256(data).hexdigest()
    if digest != segment["sha256"]:
        yield "image-sha256", f"{name} has the sha256 {digest}", f"{pointer}/sha256"
    form = "PNG" if data.startswith(PNG_MAGIC) else "JPEG"
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=(form,))
    except Exception as error:  # noqa: BLE001      # decoders raise nearly anything on damaged bytes
        yield "image-undecodable", f"{name} cannot be decoded: {_said(error)}", at
        return
    if form != FORMATS[name[-3:]]:
        yield "image-format", f"{name} is a {form} file", at
    if image.mode != "RGB":
        yield "image-mode", f"{name} is {image.mode}, not RGB", at
    for side, value in (("width", image.width), ("height", image.height)):
        if value != segment[side]:
            yield "image-size", f"{name} has the {side} {value}, not {segment[side]}", f"{pointer}/{side}"
    most = max_side or MAX_SIDE
    if max(image.size) > most or image.width * image.height > MAX_PIXELS:
        yield "image-side", f"{name} is {image.width} x {image.height}; no side has more than {most}", at
    elif image.size == (segment["width"], segment["height"]) and image.mode == "RGB":
        yield from _pixels(data, image, name, at)


def _pixels(data: bytes, image: PIL.Image.Image, name: str, at: str) -> Iterator[Fault]:
    try:
        published_size(data)
        if image.format == "JPEG" and data[18:20] != bytes(2):
            raise ValueError("a JPEG that claims a thumbnail")
    except ValueError as error:
        yield "image-form", f"{name} is {error}", at
        return
    try:
        if image.format == "PNG":
            _check_png(data, image.width, image.height)
        else:
            image.load()
    except Exception as error:  # noqa: BLE001
        yield "image-undecodable", f"{name} cannot be decoded: {_said(error)}", at


def _check_png(data: bytes, width: int, height: int) -> None:
    """Check every byte of an 8-bit RGB PNG, so that it need not be decoded as well.

    Its checksums must be right, and its data must be exactly its lines, each of which begins with its filter, 0 to 4.
    Raises ValueError and zlib.error.
    """
    coded = []
    for kind, start, end in chunks(data):
        if zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"a wrong checksum at byte {start}")
        if kind == b"IDAT":
            coded.append(data[start + 8 : end - 4])
    line = 1 + 3 * width
    inflate = zlib.decompressobj()
    lines = inflate.decompress(b"".join(coded), line * height + 1)
    if not inflate.eof or inflate.unused_data or len(lines) != line * height or max(lines[::line]) > 4:
        raise ValueError(f"other data than {height} lines of {line} bytes")


def _said(error: Exception) -> str:
    """A decoder's message without addresses in memory, which differ from run to run."""
    return (
        "no decoder knows it" if isinstance(error, PIL.UnidentifiedImageError) else str(error) or type(error).__name__
    )
