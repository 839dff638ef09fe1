"""From the bytes of a picture, whatever they are, to one normal form: upright RGB on white, bounded, no metadata.

What is refused, and under which name, is the table KINDS; docs/corpora.md shows both sides.
"""

from __future__ import annotations

import dataclasses
import io
import re
import warnings

from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from schemas.errors import RecordFault

RECIPE = 3  # raise it when the same bytes may normalise to other bytes: it is part of every cache key
FEW_COLOURS = 1024
JPEG_QUALITY = 90
_FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"]
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
_LOSSLESS = ("PNG", "GIF", "BMP")
_NEEDED = {b"\xff" + bytes([code]) for code in (0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD)}  # SOF, DHT, SOS, DQT, DRI
_MARKER = re.compile(rb"\xff[^\0\xd0-\xd7]")  # after coded data: no stuffed zero, no restart
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

KINDS = {
    "missing": "there is no such file, or no such member of the tar",
    "unreadable": "the file may not be read, or is damaged in another way than being cut short",
    "truncated": "the file ends before its picture does, or is empty",
    "too_many_bytes": "more bytes than max_bytes; no more than that were read",
    "too_many_pixels": "the header claims more pixels than max_pixels; nothing was decoded",
    "animated": "more than one frame: no single frame is what the text is about",
    "unsupported_format": "not JPEG, PNG, GIF, WebP, BMP or AVIF: SVG, HTML, TIFF and the rest",
    "timeout": "the server was too slow",
    "unreachable": "no such host, nobody answers, TLS fails, or the connection broke",
    "http_status": "the server answered with another status than 200, or redirected too often",
    "refused_host": "the address is not public, or not http(s)",
    "opted_out": "the server reserves the picture from this use (X-Robots-Tag, tdm-reservation)",
}

warnings.filterwarnings("ignore", module=r"PIL\.")  # of big pictures and damaged EXIF: both are decided here


class ImageFault(RecordFault):
    """An image that cannot be had. `kind` is a key of KINDS, `detail` says more."""


@dataclasses.dataclass(frozen=True)
class Header:
    """Pixels as the picture is seen (an EXIF quarter turn swaps them), and Pillow's name of the format."""

    width: int
    height: int
    format: str


@dataclasses.dataclass(frozen=True)
class Normal:
    """A picture in normal form: the bytes of a JPEG or PNG file and its pixels."""

    data: bytes
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """What the first bytes of a file say; nothing is decoded. Raises ImageFault."""
    with _open(data) as picture:
        width, height = picture.size
        if "exif" in picture.info and _orientation(picture) >= 5:
            width, height = height, width
        return Header(width, height, "JPEG" if picture.format == "MPO" else str(picture.format))


def normalise(data: bytes, *, max_side: int, max_pixels: int) -> Normal:
    """Decode once and write the normal form; the same bytes give the same bytes. Raises ImageFault.

    Neither side is longer than `max_side`; small pictures are not enlarged. Transparency is laid on white. A picture
    from a lossless format with at most FEW_COLOURS colours (line art, many screenshots) becomes a PNG, everything else
    a JPEG of quality 90. A JPEG that is in normal form already is kept byte for byte, so that running the pipeline on
    its own output loses nothing.
    """
    with _open(data) as picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise ImageFault("too_many_pixels", f"{width} x {height}")
        try:
            if getattr(picture, "is_animated", False) and picture.format != "MPO":  # a JPEG with a second one
                raise ImageFault("animated", "more than one frame")
            kept = Normal(data, width, height) if _is_normal(picture, data, max_side) else None
            picture.draft(None, (2 * max_side, 2 * max_side))  # JPEG: decode at 1/2, 1/4 or 1/8
            picture.load()
            if kept:
                return kept
            rgb = _upright(_rgb(picture), _orientation(picture))
        except ImageFault:
            raise
        except Exception as error:  # decoders raise nearly anything on damaged bytes
            _raise_machine_error(error)
            raise _damage(data, error) from error
        rgb.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=None)
        return Normal(_encoded(rgb, picture.format in _LOSSLESS), *rgb.size)


def extension(data: bytes) -> str:
    """`jpg` or `png`: the ending for the bytes of a stored picture."""
    return "png" if data.startswith(b"\x89PNG") else "jpg"


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageFault("too_many_pixels", str(error)) from error
    except Exception as error:
        _raise_machine_error(error)
        raise _damage(data, error) from error


def _raise_machine_error(error: Exception) -> None:
    """Memory, file handles or a disk gave out: no fault of the picture, which may be read well another time. Pillow's
    own OSErrors about bytes have no errno; one of them is how some decoders say that they got no memory."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        raise error
    if isinstance(error, OSError) and str(error).startswith("out of memory"):
        raise MemoryError(str(error)) from error


def _damage(data: bytes, error: Exception) -> ImageFault:
    if not data:
        return ImageFault("truncated", "the file is empty")
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not (data.startswith(_MAGIC) or webp or data[4:12] == b"ftypavif"):
        return ImageFault("unsupported_format", f"starts with {data[:16]!r}")
    cut = "truncated" in str(error).lower() or (webp and int.from_bytes(data[4:8], "little") + 8 > len(data))
    if isinstance(error, UnidentifiedImageError):  # its text names an address in memory, another one every time
        return ImageFault("truncated" if cut else "unreadable", "no decoder knows its header")
    return ImageFault("truncated" if cut else "unreadable", str(error)[:200] or type(error).__name__)


def _is_normal(picture: Image.Image, data: bytes, max_side: int) -> bool:
    """A baseline or progressive RGB JPEG that fits and holds nothing but the picture."""
    return picture.format == "JPEG" and picture.mode == "RGB" and max(picture.size) <= max_side and _is_bare(data)


def _is_bare(data: bytes) -> bool:
    """Does the JPEG hold the plain 14 bytes of JFIF, then only segments that decoding needs, and end with the file?

    Its markers are walked (ITU-T T.81, B.1 and B.2). What lies between a scan's header and the next marker counts as
    coded data: bytes that somebody added there, which a decoder skips, are not found.
    """
    if not data.startswith(b"\xff\xd8\xff\xe0\0\x10JFIF\0"):
        return False
    at = 20
    while (marker := data[at : at + 2]) != b"\xff\xd9":
        if marker not in _NEEDED:
            return False
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == b"\xff\xda":
            found = _MARKER.search(data, at)
            at = found.start() if found else len(data)
    return at + 2 == len(data)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):  # Pillow clips some 16-bit modes to 255 where it should scale them
        return picture.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception as error:  # noqa: BLE001 - a damaged EXIF block says nothing about the picture
        _raise_machine_error(error)
        return 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _encoded(picture: Image.Image, lossless: bool) -> bytes:
    picture.info = {}  # Pillow would write the comment of a JPEG again
    buffer = io.BytesIO()
    if lossless and picture.getcolors(FEW_COLOURS) is not None:
        picture.save(buffer, "PNG", compress_level=6)
    else:
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=True)
    return buffer.getvalue()
