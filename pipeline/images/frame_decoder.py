"""The process that takes a frame out of a video or a TIFF: `python -m pipeline.images.frame_decoder`, for `frames.py`.

FFmpeg is restricted to a list of formats; otherwise a playlist with the name of a video could make it open other files
and addresses.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

import PIL.Image

from pipeline.images.faults import ImageFault
from pipeline.storage import child
from pipeline.storage.files import open_bytes
from schemas.errors import unquoted

MEMORY, SECONDS = 2_000_000_000, 120
"""The most bytes and seconds of processor time for one frame: decoding starts at the key frame before it, minutes
earlier in some videos."""
MOST_PIXELS = 50_000_000
_VIDEO = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi", "protocol_whitelist": "file"}


def answer(request: Any, data: bytes, reply: Callable[..., None]) -> None:
    """Send one frame as a PNG, of which no more than `at_most` bytes are wanted."""
    try:
        with (
            open_bytes(request["path"]) if request["path"] else io.BytesIO(data) as file,
            child.limits(MEMORY, SECONDS),
        ):
            image = _video(file, request["time"]) if "time" in request else _page(file, request["page"])
            written = io.BytesIO()
            image.convert("RGB").save(written, "PNG", compress_level=1)
    except ImageFault as fault:
        reply({"fault": [fault.kind, fault.detail]})
    except MemoryError:
        reply({"fault": ["too_much_memory", f"more than {MEMORY:,} bytes"]})
    except Exception as error:  # noqa: BLE001 - decoders raise nearly anything on damaged bytes
        reply({"fault": ["unreadable", f"{type(error).__name__}: {unquoted(error)}"]})
    else:
        found = written.getbuffer()
        reply({}, found if request["at_most"] < 0 else found[: request["at_most"]])


def _video(file: BinaryIO | io.BytesIO, seconds: float) -> PIL.Image.Image:
    """The first frame that is shown at this time or later; the last one if the video ends before."""
    import av  # FFmpeg: slow to import, and only videos need it

    frame = None
    with av.open(file, "r", options=_VIDEO) as container:
        [stream, *_] = container.streams.video
        _check(stream.width, stream.height)
        container.seek(int(seconds * av.time_base))  # to the key frame before it
        for frame in container.decode(stream):
            _check(frame.width, frame.height)  # the size may change within a stream
            if frame.time is not None and frame.time >= seconds:
                break
        if frame is None:
            raise ImageFault("unreadable", "the video has no frame")
        image: PIL.Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
        return image


def _page(file: BinaryIO | io.BytesIO, page: int) -> PIL.Image.Image:
    image = PIL.Image.open(file, formats=["TIFF"])
    image.seek(page)
    _check(*image.size)
    image.load()
    return image


def _check(width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise ImageFault("too_many_pixels", f"{width} x {height}")


if __name__ == "__main__":
    child.serve(answer)
