"""Images inside other files: a frame of a video (`x.mp4#t=17.000`, seconds), a page of a TIFF (`x.tiff#page=2`, from 0).

The first form is that of the W3C's Media Fragments. Such an image is read as a PNG of the frame, so everything after
that is the same as for other images. A child process takes it out of the file: see `frame_decoder.py`.
"""

from __future__ import annotations

import os
import re
import threading

from pipeline.images.faults import ImageFault
from pipeline.storage import uris
from pipeline.storage.bucket import is_remote
from pipeline.storage.child import Child, Lost
from pipeline.storage.recent import Recent

_FRAME = re.compile(
    r"(?P<video>.+\.(?:mp4|mkv|webm|avi|mov))#t=(?P<time>\d+(?:\.\d+)?)"
    r"|(?P<tiff>.+\.tiff?)#page=(?P<page>\d+)",
    re.S | re.I,
)
_MOST_BYTES = 1 << 30  # of a video or TIFF that is read whole, since it is not a file of its own
_one = threading.Lock()
"""Only one frame at a time in a process: a video may take a gigabyte of memory."""
_recent = Recent(64 << 20)
"""An image is read twice: for its header, and then to be stored."""


def read_bytes(uri: str, at_most: int = -1, folders: tuple[str, ...] = ()) -> bytes:
    """Read bytes as `storage.uris.read_bytes` does, also of frames and pages.

    Raises ImageFault if the video or the TIFF has no such frame, is damaged, or takes too long or too much memory.
    """
    if not is_frame(uri):
        return uris.read_bytes(uri, at_most, folders)
    name = repr((uri, at_most, folders))
    if (data := _recent.get(name)) is None:
        data = _frame(uri, at_most, folders)
        _recent.put(name, data)
    return data


def is_frame(uri: str) -> bool:
    """Whether this is an image inside a video or a TIFF."""
    return _FRAME.fullmatch(uri) is not None


def _frame(uri: str, at_most: int, folders: tuple[str, ...]) -> bytes:
    match = _FRAME.fullmatch(uri)
    assert match
    source = match["video"] or match["tiff"]
    request: dict[str, object] = {"time": float(match["time"])} if match["video"] else {"page": int(match["page"])}
    request["at_most"] = at_most
    first = uris.read_bytes(source, 1, folders)  # raises if it is missing or must not be read
    alone = not is_remote(source) and not uris.split_member(source)[0]
    if not alone:
        first = uris.read_bytes(source, _MOST_BYTES, folders)
    if not first:
        raise ImageFault("truncated", "the file is empty")
    with _one:
        child = Child("pipeline.images.frame_decoder")
        try:
            child.send({"path": os.path.abspath(source) if alone else "", **request}, b"" if alone else first)
            reply, image = child.receive()
        except Lost as lost:
            raise ImageFault("unreadable" if lost.kind == "crashed" else lost.kind, lost.detail) from None
        finally:
            child.end()
    if "fault" in reply:
        raise ImageFault(*reply["fault"])
    return image
