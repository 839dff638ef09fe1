"""Reads the header of an image file without a decoder, in time that is proportional to the file's size.

Decoders allocate and loop by what a header claims, some of them even when they only open a file. So format, size and
scans are read here first and compared with the limits. What a header hides is bounded by `children.py`.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Literal

from pipeline.images.faults import MAX_SCANS, ImageFault
from schemas.images import MAX_SIDE, PNG_MAGIC, SOS, chunks, segments

_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_EXIF = b"Exif\0\0"


@dataclasses.dataclass(frozen=True)
class Header:
    """Width and height in pixels as the image is shown, and Pillow's name of the format.

    A quarter turn in EXIF swaps width and height.
    """

    width: int
    height: int
    format: str


def read_header(data: bytes) -> Header:
    """The header in the beginning of a file: 64 KiB are enough for nearly all.

    Raises ImageFault: `truncated` if more bytes are needed, `unreadable` for an invalid header, `unsupported_format`.
    """
    format = format_of(data)
    try:
        width, height, orientation = _READERS[format](data)
    except IndexError:
        raise ImageFault("truncated", "the file ends within its header") from None
    except ValueError as error:
        raise ImageFault("too_many_parts", str(error)) from None
    if width < 1 or height < 1:
        raise ImageFault("unreadable", f"the header claims {width} x {height} pixels")
    if 5 <= orientation <= 8:
        width, height = height, width
    return Header(width, height, format)


def check(data: bytes, max_pixels: int) -> Header:
    """The header of a complete file. Raises ImageFault if it exceeds a limit, so that the file must not be decoded."""
    found = read_header(data)
    check_size(found.width, found.height, max_pixels)
    try:
        if found.format == "PNG":
            collections.deque(chunks(data), maxlen=0)
        elif found.format == "JPEG" and (scans := sum(marker == SOS for marker, _, _ in segments(data))) > MAX_SCANS:
            raise ImageFault("too_many_scans", f"{scans}")
    except ValueError as error:
        raise ImageFault("too_many_parts", str(error)) from None
    return found


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageFault for an image that is too large."""
    if width * height > max_pixels:
        raise ImageFault("too_many_pixels", f"{width} x {height}")
    if max(width, height) > MAX_SIDE:
        raise ImageFault("too_long_side", f"{width} x {height}")


def memory(data: bytes, header: Header, max_side: int) -> int:
    """The most bytes that decoding an image to a side of `max_side` takes, besides the process itself.

    Measured with Pillow 12.3 at 50 million pixels in every mode (`python -m benchmarks.decoding --memory`), and a fifth
    on top. A JPEG is decoded at 1/2, 1/4 or 1/8 where that is large enough; a progressive one also keeps two bytes for
    each coefficient of the whole image.
    """
    pixels = header.width * header.height
    if header.format == "JPEG":
        scale = min(header.width // (2 * max_side), header.height // (2 * max_side), 8)
        scale = 1 << max(scale, 1).bit_length() - 1
        need = pixels * 10 // scale**2 + pixels * _coefficients(data)
    else:
        need = pixels * _BYTES_A_PIXEL[header.format]
    return need + 4 * len(data) + _ROOM


def format_of(data: bytes) -> str:
    """Pillow's name of the file's format, from its first bytes. Raises ImageFault."""
    for format, is_one in _SIGNS.items():
        if is_one(data):
            return format
    raise (
        ImageFault("unsupported_format", "no image of a known format")
        if data
        else ImageFault("truncated", "the file is empty")
    )


def _coefficients(data: bytes) -> int:
    """The bytes per pixel that a JPEG of several scans keeps: two for each component."""
    for marker, start, _ in segments(data):
        if marker in _FRAMES:
            several = marker in _PROGRESSIVE or data.count(b"\xff\xda") > 1
            return 2 * min(data[start + 9], 4) if several else 0
    return 0


def _jpeg(data: bytes) -> tuple[int, int, int]:
    orientation, end = 1, 2
    for marker, start, end in segments(data):
        if marker in _FRAMES:
            data[start + 9]  # the number of components; IndexError if the file ends before
            height, width = _big(data[start + 5 : start + 7]), _big(data[start + 7 : start + 9])
            return width, height, orientation
        if marker == 0xE1 and data.startswith(_EXIF, start + 4):
            orientation = _orientation(data[start + 10 : end])
        if marker == SOS:
            raise ImageFault("unreadable", "a scan before the frame's header")
    if end < len(data):
        raise ImageFault("unreadable", "no marker of a JPEG where one belongs")
    raise IndexError


def _png(data: bytes) -> tuple[int, int, int]:
    data[23]
    orientation = 1
    for name, start, end in chunks(data):
        if name == b"eXIf":
            orientation = _orientation(data[start + 8 : min(end, start + 65536)])
        if name == b"IDAT":
            break
    return _big(data[16:20]), _big(data[20:24]), orientation


def _gif(data: bytes) -> tuple[int, int, int]:
    data[9]
    return _little(data[6:8]), _little(data[8:10]), 1


def _webp(data: bytes) -> tuple[int, int, int]:
    data[29]
    kind = data[12:16]
    if kind == b"VP8X":  # the canvas; a decoder allocates two of them when it opens the file
        return _little(data[24:27]) + 1, _little(data[27:30]) + 1, _riff_orientation(data)
    if kind == b"VP8L":
        bits = _little(data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
    return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF, 1


def _riff_orientation(data: bytes) -> int:
    at = 12
    while at + 8 <= len(data):
        size = _little(data[at + 4 : at + 8])
        if data[at : at + 4] == b"EXIF":
            exif = data[at + 8 : at + 8 + min(size, 65536)]
            return _orientation(exif.removeprefix(_EXIF))
        at += 8 + size + size % 2
    return 1


def _bmp(data: bytes) -> tuple[int, int, int]:
    data[25]
    if _little(data[14:18]) == 12:  # OS/2's first form
        return _little(data[18:20]), _little(data[20:22]), 1
    return _little(data[18:22]), abs(int.from_bytes(data[22:26], "little", signed=True)), 1


def _avif(data: bytes) -> tuple[int, int, int]:
    """The size of the largest image inside (`ispe`: an alpha plane, tiles and thumbnails have their own)."""
    sizes, at = [], data.find(b"ispe", 0, 65536)
    while at >= 0 and at + 16 <= len(data):
        sizes.append((_big(data[at + 8 : at + 12]), _big(data[at + 12 : at + 16])))
        at = data.find(b"ispe", at + 4, 65536)
    if not sizes:
        raise IndexError
    turned = data.find(b"\0\0\0\x09irot", 0, 65536)
    quarter = turned >= 0 and data[turned + 8] % 2
    return (*max(sizes, key=lambda size: size[0] * size[1]), 6 if quarter else 1)


def _orientation(tiff: bytes) -> int:
    """The orientation (tag 274) in the first directory of an EXIF block; 1 if there is none, or an invalid one."""
    orders: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
    order = orders.get(tiff[:2])
    if order is None:
        return 1
    at = int.from_bytes(tiff[4:8], order)
    for entry in range(at + 2, at + 2 + 12 * int.from_bytes(tiff[at : at + 2], order), 12):
        if int.from_bytes(tiff[entry : entry + 2], order) == 0x0112:
            return int.from_bytes(tiff[entry + 8 : entry + 10], order)
        if entry >= len(tiff):
            break
    return 1


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


_ROOM = 24 << 20
_BYTES_A_PIXEL = {"PNG": 10, "GIF": 6, "BMP": 10, "WEBP": 20, "AVIF": 20}
_SIGNS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": lambda data: data.startswith(b"\xff\xd8\xff"),
    "PNG": lambda data: data.startswith(PNG_MAGIC[:4]),
    "GIF": lambda data: data.startswith(b"GIF8"),
    "WEBP": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
    "BMP": lambda data: data.startswith(b"BM"),
    "AVIF": lambda data: (
        data[4:12] in (b"ftypavif", b"ftypavis") or (data[4:12] == b"ftypmif1" and b"avif" in data[:64])
    ),
}
_READERS = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "WEBP": _webp, "BMP": _bmp, "AVIF": _avif}
