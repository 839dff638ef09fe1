"""Images inside other files: a frame of a video (`x.mp4#t=17.000`, seconds), a page of a TIFF (`x.tiff#page=2`, from 0).

The first is the form that the W3C's Media Fragments have. Such an image is read as a PNG of the frame, so that all
that follows is as for any other image.
"""

from __future__ import annotations

import functools
import io
import re

import PIL.Image

from pipeline.images.decode import ImageFault
from pipeline.storage import uris
from pipeline.storage.store import is_remote, open_bytes

_FRAME = re.compile(
    r"(?P<video>.+\.(?:mp4|mkv|webm|avi|mov))#t=(?P<time>\d+(?:\.\d+)?)"
    r"|(?P<tiff>.+\.tiff?)#page=(?P<page>\d+)",
    re.S | re.I,
)
_MOST_PIXELS = 100_000_000  # a frame with more is not decoded; the store's own limit is lower


def read_bytes(uri: str, at_most: int = -1) -> bytes:
    """As `storage.uris.read_bytes`, for frames and pages too. Raises ImageFault (`unreadable`) where the video or the
    TIFF has no such frame or is damaged."""
    if not _FRAME.fullmatch(uri):
        return uris.read_bytes(uri, at_most)
    data = _frame(uri)
    return data if at_most < 0 else data[:at_most]


@functools.lru_cache(maxsize=8)  # an image is read twice: its header, and then all of it
def _frame(uri: str) -> bytes:
    match = _FRAME.fullmatch(uri)
    assert match
    image = _video(match["video"], float(match["time"])) if match["video"] else _page(match["tiff"], int(match["page"]))
    written = io.BytesIO()
    image.convert("RGB").save(written, "PNG", compress_level=1)
    return written.getvalue()


def _video(uri: str, seconds: float) -> PIL.Image.Image:
    """The first frame that is shown at this time or later; the last one where the video ends before."""
    import av  # FFmpeg: slow to import, and only videos need it

    local = not is_remote(uri) and not uris.split_member(uri)[0]
    if not uris.exists(uri):
        raise FileNotFoundError(uri)
    source = uri if local else open_bytes(uri) if is_remote(uri) else io.BytesIO(uris.read_bytes(uri))
    frame = None
    try:
        with av.open(source, "r") as container:
            [stream, *_] = container.streams.video
            if not 0 < stream.width * stream.height <= _MOST_PIXELS:
                raise ImageFault("unreadable", f"a video of {stream.width} x {stream.height} pixels")
            container.seek(int(seconds * av.time_base))  # to the key frame before it
            for frame in container.decode(stream):
                if frame.time is not None and frame.time >= seconds:
                    break
            if frame is None:
                raise ImageFault("unreadable", "the video has no frame")
            image: PIL.Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
            return image
    except (av.error.FFmpegError, ValueError) as error:
        raise ImageFault("unreadable", f"{type(error).__name__}: {error}") from error


def _page(uri: str, page: int) -> PIL.Image.Image:
    try:
        image = PIL.Image.open(io.BytesIO(uris.read_bytes(uri)), formats=["TIFF"])
        image.seek(page)
        if image.width * image.height > _MOST_PIXELS:
            raise ImageFault("unreadable", f"a page of {image.width} x {image.height} pixels")
        image.load()
        return image
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ImageFault("unreadable", f"page {page}: {type(error).__name__}: {error}") from error
