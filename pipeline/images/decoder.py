"""The process in which images are decoded: `python -m pipeline.images.decoder`, started and fed by `children.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import AvifImagePlugin

from pipeline.images.decode import normalise
from pipeline.images.faults import ImageFault
from pipeline.storage import child


def answer(request: Any, data: bytes, reply: Callable[..., None]) -> None:
    """Normalise one image."""
    try:
        with child.limits(request["memory"], request["seconds"]):
            found = normalise(data, max_side=request["max_side"], max_pixels=request["max_pixels"])
    except ImageFault as fault:
        reply({"fault": [fault.kind, fault.detail]})
    except MemoryError:
        reply({"fault": ["too_much_memory", f"more than {request['memory'] >> 20} MiB"]})
    else:
        reply({"width": found.width, "height": found.height}, found.data)


if __name__ == "__main__":
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each needs a stack, and the other cores decode other images
    child.serve(answer)
