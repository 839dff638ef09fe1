"""The two kinds of image files that an instance may have, recognised by their structure, and how to open one safely.

A JPEG is baseline with one scan; a PNG is 8-bit RGB and not interlaced; neither has anything besides the image. The
cost of opening such a file depends on its pixels only: there is no metadata to decompress, no second frame, and nothing
is decoded twice.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import PIL.Image
import PIL.ImageOps

MAX_PIXELS = 50_000_000
"""The most pixels (width x height) of an image that is opened: the default of the configuration's
`images.max_pixels`."""
MAX_SIDE = 65_535
"""The longest side in pixels: the limit of JPEG. With longer sides, the tables of a resize alone fill the memory."""
MAX_PARTS = 10_000
"""The most segments of a JPEG or chunks of a PNG, because it is slow to go through them. A PNG of 20 MB in chunks of 8
KiB, as libpng writes them, has 2,500."""

FOREIGN = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")
"""The formats in which other people's images are opened. Without such a list Pillow takes a file for what its first
bytes say, and starts Ghostscript for PostScript."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JFIF_MAGIC = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
SOF0, SOS, EOI = 0xC0, 0xDA, 0xD9
_TABLES = {0xC4, 0xDB, 0xDD}  # DHT, DQT, DRI
_MARKER = re.compile(rb"\xff+[^\0\xff\xd0-\xd7]")  # in coded data: no stuffed zero, no fill, no restart


def opaque(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The image in RGB, white where it is transparent."""
    if picture.mode.startswith("I;16"):
        picture = from_16_bits(picture)
    if picture.mode != "RGB":
        clear = picture.convert("RGBA")
        picture = PIL.Image.alpha_composite(PIL.Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return picture


def from_16_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """A grey image of 16 bits in RGB: Pillow clips some 16-bit modes to 255 instead of scaling them."""
    return picture.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")


def open_foreign(file: BinaryIO) -> PIL.Image.Image:
    """The image in another one's file, not decoded yet. Raises ValueError, with the reason, for one that is not opened."""
    try:
        picture = PIL.Image.open(file, formats=FOREIGN)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        raise ValueError(f"no image that is read here ({type(error).__name__})") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels")
    return picture


def decode_foreign(picture: PIL.Image.Image) -> PIL.Image.Image:
    """An image that `open_foreign` opened, decoded, as a camera's photo is meant to be seen. Raises ValueError."""
    try:
        picture.load()
        return PIL.ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise ValueError(f"damaged image data ({type(error).__name__})") from error


def open_published(data: bytes, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> PIL.Image.Image:
    """The decoded RGB image of a published file.

    at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which takes less time, if both sides keep so many
    pixels. Raises ValueError, with the reason, for every other file: nothing is decoded before the file's structure and
    size are checked.
    """
    width, height = published_size(data)
    if width * height > max_pixels:
        raise ValueError(f"an image of {width} x {height}; at most {max_pixels:,} pixels are opened")
    try:
        picture = PIL.Image.open(io.BytesIO(data), formats=["PNG" if data.startswith(PNG_MAGIC) else "JPEG"])
        whole = picture.size
        if at_least:
            picture.draft(None, (at_least, at_least))
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        raise ValueError(f"damaged image data ({type(error).__name__})") from error
    if picture.mode != "RGB" or whole != (width, height):
        raise ValueError(f"decodes to {picture.mode}, {whole[0]} x {whole[1]}")
    return picture


def published_size(data: bytes) -> tuple[int, int]:
    """Width and height of a published file, in pixels. Raises ValueError, with the reason, for every other file."""
    width, height = _png(data) if data.startswith(PNG_MAGIC) else _jpeg(data)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"sides of {width} x {height}")
    return width, height


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The (marker, start, end) of each segment of a JPEG after its first two bytes.

    The coded data after an SOS belong to it (ITU-T T.81, B.1 and B.2). Bytes between segments, which decoders skip,
    belong to none. Ends with EOI or the file.

    Raises ValueError if there are more than MAX_PARTS.
    """
    at = 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if not found:
            return
        start, marker = found.end() - 2, data[found.end() - 1]
        if marker == EOI or start + 4 > len(data):
            yield marker, start, start + 2
            return
        end = start + 2
        if marker >= SOF0:  # the others are reserved, and have no length
            end += int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == SOS:
            end = _behind_scan(data, end)
        yield marker, start, end
        at = max(end, start + 2)
    raise ValueError(f"more than {MAX_PARTS:,} segments")


def _behind_scan(data: bytes, at: int) -> int:
    """Where the coded data that begin at `at` end.

    Nearly always the end of the file follows, and counting shows that ten times faster than a search.
    """
    stop = len(data) - 2
    if at <= stop and data.endswith(b"\xff\xd9"):
        stuffed, all_ = data.count(b"\xff\0", at, stop), data.count(b"\xff", at, stop)
        if stuffed == all_:
            return stop
    behind = _MARKER.search(data, at)
    return behind.start() if behind else len(data)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The (type, start, end) of each chunk of a PNG after its signature, checksum included; the last may be truncated.

    Raises ValueError if there are more than MAX_PARTS.
    """
    at = len(PNG_MAGIC)
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at, end
        at = end
    raise ValueError(f"more than {MAX_PARTS:,} chunks")


def _jpeg(data: bytes) -> tuple[int, int]:
    if not data.startswith(JFIF_MAGIC):
        raise ValueError("neither a JFIF file nor a PNG")
    expected, scans, size = 20, 0, (0, 0)  # JFIF's 14 bytes and no thumbnail
    for marker, start, end in segments(data):
        if start < expected:  # the JFIF segment
            continue
        if start > expected:
            raise ValueError(f"{start - expected} bytes between segments")
        if marker == SOF0:
            size = (
                int.from_bytes(data[start + 7 : start + 9], "big"),
                int.from_bytes(data[start + 5 : start + 7], "big"),
            )
        elif marker not in _TABLES and marker not in (SOS, EOI):
            raise ValueError(f"a JPEG with the segment FF{marker:02X}")
        scans += marker == SOS
        if scans > 1:
            raise ValueError("a JPEG of several scans")
        expected = end
        if marker == EOI and end == len(data) and scans:
            return size
    raise ValueError("a JPEG that goes on behind its end, or ends before it")


def _png(data: bytes) -> tuple[int, int]:
    names: list[bytes] = []
    end = len(PNG_MAGIC)
    for name, _, behind in chunks(data):
        end = behind
        if name not in (b"IHDR", b"IDAT", b"IEND"):
            raise ValueError("a PNG with another chunk than IHDR, IDAT and IEND")
        if name != b"IDAT" or not names or names[-1] != name:
            names.append(name)
    if names != [b"IHDR", b"IDAT", b"IEND"] or end != len(data):
        raise ValueError("a PNG that goes on behind its end, or ends before it")
    if data[8:12] != b"\0\0\0\x0d" or data[24:29] != b"\x08\x02\0\0\0":
        raise ValueError("a PNG that is not 8-bit RGB, or is interlaced")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
