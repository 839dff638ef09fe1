"""Turns the bytes of any image into one normal form: upright RGB on white, bounded, without metadata.

The table in `faults.py` says what is refused, and under which name. This code relies on the limits of the child process
that it runs in (`children.py`), because a decoder may loop or allocate more than a header claims.
"""

from __future__ import annotations

import dataclasses
import io
import warnings

from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from pipeline.images import header
from pipeline.images.faults import ImageFault
from schemas.errors import unquoted
from schemas.images import from_16_bits, published_size

RECIPE = 5  # raise it when the same bytes may normalise to other bytes: it is part of every cache key
FEW_COLOURS = 1024
JPEG_QUALITY = 90
_RESAMPLING = Image.Resampling.BICUBIC  # Lanczos takes a third longer; they differ less (45 dB) than a JPEG does (42)
_STRIP = 1 << 20  # pixels that are converted at once, because that takes several copies
_FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"]
_LOSSLESS = ("PNG", "GIF", "BMP")
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

warnings.filterwarnings("ignore", module=r"PIL\.")  # of big images and damaged EXIF: both are decided here


@dataclasses.dataclass(frozen=True)
class Normal:
    """An image in normal form: the bytes of a JPEG or PNG file, and its size in pixels."""

    data: bytes
    width: int
    height: int


def normalise(data: bytes, *, max_side: int, max_pixels: int) -> Normal:
    """Decode once and write the normal form; the same bytes give the same bytes. Raises ImageFault.

    Neither side is longer than `max_side`; small images are not enlarged. Transparency is laid on white. An image from
    a lossless format with at most FEW_COLOURS colours (line art, many screenshots) becomes a PNG, everything else a
    JPEG of quality 90. A JPEG that is in normal form already is kept byte for byte, so that running the pipeline on its
    own output loses nothing.
    """
    header.check(data, max_pixels)
    try:
        rgb, format = _decoded(data, max_side, max_pixels)
        if format == "JPEG" and max(rgb.size) <= max_side and _is_normal(data):
            return Normal(data, *rgb.size)
        rgb.thumbnail((max_side, max_side), _RESAMPLING, reducing_gap=None)
        return Normal(_encoded(rgb, format in _LOSSLESS), *rgb.size)
    except ImageFault:
        raise
    except Image.DecompressionBombError:
        raise ImageFault("too_many_pixels", "more than the header claims") from None
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        _raise_machine_error(error)
        raise _damage(data, error) from error


def extension(data: bytes) -> str:
    """The file extension of a stored image: `jpg` or `png`."""
    return "png" if data.startswith(b"\x89PNG") else "jpg"


def _decoded(data: bytes, max_side: int, max_pixels: int) -> tuple[Image.Image, str]:
    """The image as upright RGB, a JPEG perhaps at 1/2, 1/4 or 1/8 of its size, and the format.

    No copy is kept that is not needed: at 50 million pixels each takes 200 MB.
    """
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        format = str(picture.format)
        header.check_size(*picture.size, max_pixels)
        if getattr(picture, "is_animated", False) and format != "MPO":  # a JPEG with a second one
            raise ImageFault("animated", "more than one frame")
        picture.draft(None, (2 * max_side, 2 * max_side))  # JPEG: decode at 1/2, 1/4 or 1/8
        picture.load()
        orientation = _orientation(picture)
        rgb = _rgb(picture)
    del picture
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb, format


def _raise_machine_error(error: Exception) -> None:
    """Raise the error again if memory, file handles or a disk ran out, which is not a fault of the image.

    Pillow's own OSErrors about bad bytes have no errno; some decoders raise one of them when they get no memory.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        raise error
    if isinstance(error, OSError) and str(error).startswith("out of memory"):
        raise MemoryError(str(error)) from error


def _damage(data: bytes, error: Exception) -> ImageFault:
    webp = data[:4] == b"RIFF"
    cut = "truncated" in str(error).lower() or (webp and int.from_bytes(data[4:8], "little") + 8 > len(data))
    said = "no decoder knows its header"
    if not isinstance(error, UnidentifiedImageError):  # whose message has an address in memory that differs every time
        said = unquoted(error)[:200]
    return ImageFault("truncated" if cut else "unreadable", said or type(error).__name__)


def _is_normal(data: bytes) -> bool:
    try:
        return bool(published_size(data))
    except ValueError:
        return False


def _rgb(picture: Image.Image) -> Image.Image:
    deep, clear = picture.mode.startswith("I;16"), picture.has_transparency_data
    if not (deep or clear):
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    rgb = Image.new("RGB", picture.size)
    rows = max(_STRIP // picture.width, 1)
    for top in range(0, picture.height, rows):
        box = (0, top, picture.width, min(top + rows, picture.height))
        rgb.paste(from_16_bits(picture.crop(box)) if deep else _on_white(picture.crop(box)), box)
    return rgb


def _on_white(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception as error:  # noqa: BLE001 - a damaged EXIF block does not mean a damaged image
        _raise_machine_error(error)
        return 1


def _encoded(picture: Image.Image, lossless: bool) -> bytes:
    picture.info = {}  # Pillow would write the comment of a JPEG again
    buffer = io.BytesIO()
    if lossless and picture.getcolors(FEW_COLOURS) is not None:
        picture.save(buffer, "PNG", compress_level=6)
    else:
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=True)
    return buffer.getvalue()
