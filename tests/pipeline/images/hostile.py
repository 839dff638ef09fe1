"""Images that are made to fill the memory, to keep a processor busy, or to deceive whoever reads their header."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import PIL.Image


def photo(width: int = 300, height: int = 200, mode: str = "RGB") -> PIL.Image.Image:
    return PIL.Image.effect_noise((width, height), 60).convert("RGB").convert(mode)


def encoded(picture: PIL.Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0, before: bytes = b"", pieces: int = 1
) -> bytes:
    """A black PNG of that size, with other chunks in front of its IDAT."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    deflate = zlib.compressobj(1)
    row, data = bytes(1 + (width * depth * channels + 7) // 8), b""
    for _ in range(height):
        data += deflate.compress(row)
    data += deflate.flush()
    size = -(-len(data) // pieces)
    idat = b"".join(chunk(b"IDAT", data[at : at + size]) for at in range(0, len(data), size))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    palette = chunk(b"PLTE", bytes(3)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + before + idat + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def behind_soi(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def scans(count: int) -> bytes:
    """A progressive JPEG of 12 million pixels whose last scan comes `count` times more."""
    data = encoded(
        PIL.Image.radial_gradient("L").convert("RGB").resize((4000, 3000)), "JPEG", progressive=True, quality=60
    )
    last = data.rindex(b"\xff\xda")
    table = data.rindex(b"\xff\xc4", 0, last)
    return data[:-2] + data[table:-2] * count + data[-2:]


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG whose header claims other sides."""
    data = bytearray(encoded(photo(16, 16), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif(
    before: bytes = b"",
    screen: tuple[int, int] = (8, 8),
    frame: tuple[int, int, int, int] = (0, 0, 8, 8),
    frames: int = 1,
) -> bytes:
    one = b"," + struct.pack("<HHHHB", *frame, 0) + b"\2\2\x4c\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF0, 0, 0) + bytes(6) + before + one * frames + b";"


def comments(size: int) -> bytes:
    """A GIF comment of so many bytes, which Pillow puts together anew for every 255 of them."""
    return b"!\xfe" + (b"\xff" + b"x" * 255) * (size // 256) + b"\0"


def riff(*chunks_: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks_
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width: int, height: int) -> tuple[bytes, bytes]:
    return b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp_in(width: int, height: int) -> bytes:
    """A small picture on a canvas of that size."""
    data = encoded(photo(16, 16), "WEBP")
    return riff(canvas(width, height), (data[12:16], data[20:]))


def lying_avif() -> bytes:
    """An AVIF that claims 16 x 16 pixels, and whose stream has 4096 x 4096."""
    data = encoded(PIL.Image.new("RGB", (4096, 4096)), "AVIF", speed=10)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", 16, 16) + data[at + 8 :]


def bmp(width: int, height: int, bits: int, compression: int = 0, body: bytes = b"", colours: int = 0) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, colours, 0)
    palette = bytes(4 * (colours or (1 << bits if bits <= 8 else 0)))
    offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + head + palette + body


def exif(*entries: tuple[int, int, int, int], next_directory: int = 0) -> bytes:
    """An EXIF block of entries (tag, type, count, value)."""
    return (
        b"Exif\0\0II*\0"
        + struct.pack("<IH", 8, len(entries))
        + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        + struct.pack("<I", next_directory)
    )


HOSTILE: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    # how it is made, and what may come of it: "" an image, or a fault's kind
    "png-44800000x1": (lambda: png(44_800_000, 1, depth=1, colour=0), {"too_long_side"}),
    "png-1x44800000": (lambda: png(1, 70_000), {"too_long_side"}),
    "png-65535x1": (lambda: png(65_535, 1), {""}),
    "png-1x65535": (lambda: png(1, 65_535), {""}),
    "png-65535x762": (lambda: png(65_535, 762), {""}),
    "png-rgba-49mp": (lambda: png(7000, 7000, colour=6), {""}),
    "png-16-bit-49mp": (lambda: png(7000, 7000, depth=16, colour=6), {""}),
    "png-grey-16-bit-49mp": (lambda: png(7000, 7000, depth=16, colour=0), {""}),
    "png-interlaced": (lambda: png(3000, 3000, interlace=1), {"", "truncated", "unreadable"}),
    "png-texts": (
        lambda: png(9, 9, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20), 9)) * 60),
        {"", "too_much_memory", "unreadable"},
    ),
    "png-one-text": (
        lambda: png(9, 9, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26), 9))),
        {"", "too_much_memory", "unreadable"},
    ),
    "png-profile": (
        lambda: png(9, 9, before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26), 9))),
        {"", "too_much_memory", "unreadable"},
    ),
    "png-small-chunks": (lambda: png(9, 9, before=chunk(b"tEXt", b"a\0b") * 300_000), {"too_many_parts"}),
    "png-small-idats": (lambda: png(3000, 3000, pieces=9000), {""}),
    "png-frames": (lambda: png(9, 9, before=chunk(b"acTL", struct.pack(">II", 1 << 30, 0))), {"animated"}),
    "png-huge": (
        lambda: png(9, 9).replace(struct.pack(">II", 9, 9), struct.pack(">II", 2**31 - 1, 2**31 - 1)),
        {"too_many_pixels"},
    ),
    "jpeg-200-scans": (lambda: scans(200), {"too_many_scans"}),
    "jpeg-20-scans": (lambda: scans(20), {""}),
    "jpeg-65500x65500": (lambda: jpeg_of(65_500, 65_500), {"too_many_pixels"}),
    "jpeg-7000x7000-of-nothing": (lambda: jpeg_of(7000, 7000), {"", "truncated"}),
    "jpeg-exif-pieces": (
        lambda: behind_soi(encoded(photo(), "JPEG"), *[segment(0xE1, b"Exif\0\0abcdef")] * 400_000),
        {"too_many_parts"},
    ),
    "jpeg-long-exif-pieces": (
        lambda: behind_soi(encoded(photo(), "JPEG"), *[segment(0xE1, b"Exif\0\0" + bytes(2000))] * 9000),
        {"", "too_slow", "too_much_memory"},
    ),
    "jpeg-exif-without-end": (
        lambda: behind_soi(encoded(photo(), "JPEG"), segment(0xE1, exif((0x0112, 3, 1, 6), next_directory=8))),
        {""},
    ),
    "jpeg-exif-of-4-gb": (
        lambda: behind_soi(
            encoded(photo(), "JPEG"), segment(0xE1, exif((0x010E, 2, 2**32 - 1, 8), (0x0112, 3, 2**32 - 1, 8)))
        ),
        {""},
    ),
    "jpeg-two-headers": (lambda: jpeg_of(16, 16)[:-2] + jpeg_of(6000, 6000)[2:], {"", "unreadable", "truncated"}),
    "jpeg-frame-header-cut": (lambda: b"\xff\xd8\xff\xc2\x00\x11\x08\x00\x10\x00\x10", {"truncated"}),
    "jpeg-reserved-marker": (lambda: behind_soi(encoded(photo(), "JPEG"), b"\xff\x02"), {"unreadable", ""}),
    "gif-65535x65535": (lambda: gif(screen=(65_535, 65_535)), {"too_many_pixels"}),
    "gif-frame-outside": (lambda: gif(frame=(65_000, 65_000, 500, 500)), {"too_many_pixels"}),
    "gif-comments": (lambda: gif(before=comments(16 << 20)), {"", "too_slow", "truncated"}),
    "gif-many-comments": (lambda: gif(before=b"!\xfe\1x\0" * 200_000), {"", "too_slow", "truncated"}),
    "gif-frames": (lambda: gif(frames=200_000), {"animated"}),
    "webp-16mx16m": (lambda: webp_in(1 << 24, 1 << 24), {"too_many_pixels"}),
    "webp-canvas-7000x7000": (lambda: webp_in(7000, 7000), {"unreadable", "truncated"}),
    "webp-small-canvas": (
        lambda: riff(canvas(16, 16), (b"VP8 ", encoded(photo(900, 900), "WEBP")[20:])),
        {"unreadable", "truncated"},
    ),
    "webp-chunks": (
        lambda: riff(canvas(300, 200), (b"VP8 ", encoded(photo(), "WEBP")[20:]), *[(b"XXXX", b"")] * 300_000),
        {"", "unreadable"},
    ),
    "avif-that-lies": (lying_avif, {"unreadable", "truncated", "too_much_memory"}),
    "avif-7000x7000": (lambda: encoded(PIL.Image.new("RGB", (7000, 7000)), "AVIF", speed=10), {""}),
    "bmp-minus-2-gb": (lambda: bmp(2**31 - 1, -(2**31), 24), {"too_many_pixels"}),
    "bmp-runs": (
        lambda: bmp(7000, 7000, 8, compression=1, body=b"\1\0" * 5_000_000),
        {"", "too_slow", "truncated", "unreadable"},
    ),
    "bmp-leaps": (
        lambda: bmp(60_000, 800, 8, compression=1, body=b"\0\2\xff\xff" * 100_000),
        {"", "too_slow", "truncated", "unreadable", "too_much_memory"},
    ),
    "bmp-colours": (lambda: bmp(8, 8, 8, colours=60_000, body=bytes(64)), {"", "unreadable", "truncated"}),
}
