"""Decodes images in child processes, within limits of memory and processor time that hold for any bytes.

A decoder may loop for hours over a file that looks small, or crash; the pipeline goes on. All images that a process
decodes at once share a budget of memory, by what their headers claim, and a child may take no more than its image's part.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import queue
import threading
from collections.abc import Iterator

from pipeline.images import header
from pipeline.images.decode import Normal
from pipeline.images.faults import ImageFault
from pipeline.storage.child import Child, Lost

BUDGET = 1_400_000_000
"""The most bytes that the children of one process may use for images at once: enough for one of the largest images (a
WebP or AVIF of 50 million pixels)."""
MOST = 16
"""The most children of a process; never more than it has processors. An idle one takes 17 MB."""
SECONDS, PIXELS_A_SECOND = 2, 4_000_000
"""Processor time for an image: 2 s, and one more for every 4 million pixels. The slowest ordinary images (WebP, AVIF)
take a quarter of that (`python -m benchmarks.decoding`)."""

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
"""Makes glibc return the memory of large images at once, but not after every small one."""


def normalise(data: bytes, *, max_side: int, max_pixels: int) -> Normal:
    """Run `decode.normalise` in a child process.

    Raises ImageFault, also `too_slow` and `too_much_memory`, and MemoryError if the machine ran out of memory.
    """
    return _pool(os.getpid()).normalise(data, max_side, max_pixels)


class Budget:
    """A number of bytes that are lent in the order of requests. A request for more than there are gets all of them."""

    def __init__(self, size: int):
        self.size, self._free = size, size
        self._turn, self._changed = threading.Lock(), threading.Condition()

    @contextlib.contextmanager
    def lent(self, wanted: int) -> Iterator[None]:
        """Wait until the bytes are free, and reserve them while the block runs."""
        wanted = min(wanted, self.size)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify()


class Children:
    """At most `most` processes of `module`, started when they are needed, that share `budget` bytes for images."""

    def __init__(self, most: int, budget: int, module: str = "pipeline.images.decoder"):
        self._budget, self._module = Budget(budget), module
        self._slots: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(most):
            self._slots.put(None)

    def normalise(self, data: bytes, max_side: int, max_pixels: int) -> Normal:
        """As the function `normalise`, with a child of this pool."""
        found = header.check(data, max_pixels)
        memory = header.memory(data, found, max_side)
        request = {
            "memory": memory,
            "max_side": max_side,
            "max_pixels": max_pixels,
            "seconds": SECONDS + found.width * found.height // PIXELS_A_SECOND,
        }
        try:
            with self._child() as child, self._budget.lent(memory):
                child.send(request, data)
                reply, result = child.receive()
        except Lost as lost:
            raise ImageFault("unreadable" if lost.kind == "crashed" else lost.kind, lost.detail) from None
        if "fault" in reply:
            raise ImageFault(*reply["fault"])
        return Normal(result, reply["width"], reply["height"])

    def close(self) -> None:
        """End the idle children."""
        with contextlib.suppress(queue.Empty):
            while True:
                if child := self._slots.get_nowait():
                    child.end()

    @contextlib.contextmanager
    def _child(self) -> Iterator[Child]:
        """A child for the block; it is not used again if the block ends with an exception."""
        child = self._slots.get()
        try:
            child = child or Child(self._module, _MALLOC)
            yield child
        except BaseException:
            if child:
                child.end()
            child = None
            raise
        finally:
            self._slots.put(child)


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> Children:
    """The children of this process; `process`, its id, keeps a forked worker from using its parent's children."""
    pool = Children(min(len(os.sched_getaffinity(process)), MOST), BUDGET)
    atexit.register(pool.close)
    return pool
