"""The two kinds of image files that an instance holds, told by their structure, and how to open one without harm.

A JPEG is baseline with one scan; a PNG is 8-bit RGB and not interlaced; neither holds anything beside the image. Such a
file costs no more than its pixels: there is no metadata to inflate, no second frame, and nothing is decoded twice.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import PIL.Image

MAX_PIXELS = 50_000_000
"""Width x height of an image that is opened: the default of the configuration's `images.max_pixels`."""
MAX_SIDE = 65_535
"""Pixels of a side: what a JPEG can hold. Beyond it the tables of a resize alone fill the memory."""
MAX_PARTS = 10_000
"""Segments of a JPEG, chunks of a PNG: walking them is slow. A PNG of 20 MB in chunks of 8 KiB, as libpng writes them,
has 2,500."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JFIF_MAGIC = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
SOF0, SOS, EOI = 0xC0, 0xDA, 0xD9
_TABLES = {0xC4, 0xDB, 0xDD}  # DHT, DQT, DRI
_MARKER = re.compile(rb"\xff+[^\0\xff\xd0-\xd7]")  # in coded data: no stuffed zero, no fill, no restart


def open_published(data: bytes, max_pixels: int = MAX_PIXELS) -> PIL.Image.Image:
    """The image of such a file, decoded, RGB. Raises ValueError, with the reason, for everything else: nothing is
    decoded before the file's structure and size are found to be right."""
    width, height = published_size(data)
    if width * height > max_pixels:
        raise ValueError(f"an image of {width} x {height}; at most {max_pixels:,} pixels are opened")
    try:
        picture = PIL.Image.open(io.BytesIO(data), formats=["PNG" if data.startswith(PNG_MAGIC) else "JPEG"])
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        raise ValueError(f"damaged image data ({type(error).__name__})") from error
    if picture.mode != "RGB" or picture.size != (width, height):
        raise ValueError(f"decodes to {picture.mode}, {picture.width} x {picture.height}")
    return picture


def published_size(data: bytes) -> tuple[int, int]:
    """Width and height of such a file, in pixels. Raises ValueError, with the reason, for everything else."""
    width, height = _png(data) if data.startswith(PNG_MAGIC) else _jpeg(data)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"sides of {width} x {height}")
    return width, height


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment of a JPEG behind its first two bytes; the coded data behind an SOS belong to
    it (ITU-T T.81, B.1 and B.2). Bytes between segments, which decoders skip, are in none. Ends with EOI or the file.

    Raises ValueError behind MAX_PARTS of them.
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
    """Where the coded data from `at` on end. Nearly always behind them comes the end of the file, and counting tells
    that ten times faster than the search."""
    stop = len(data) - 2
    if at <= stop and data.endswith(b"\xff\xd9"):
        stuffed, all_ = data.count(b"\xff\0", at, stop), data.count(b"\xff", at, stop)
        if stuffed == all_:
            return stop
    behind = _MARKER.search(data, at)
    return behind.start() if behind else len(data)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each chunk of a PNG behind its signature, checksum included; the last may be cut short.

    Raises ValueError behind MAX_PARTS of them.
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
