"""Limits what glibc's malloc keeps of freed memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

ARENAS = 2
"""By default there are eight for each core, and each keeps what was freed in it. Workers have dozens of threads: with
two arenas the rehearsal of 140,000 documents takes a tenth less memory (docs/scaling.md)."""
VARIABLE = "MALLOC_ARENA_MAX"
_M_ARENA_MAX = -8  # malloc.h


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """While the block runs, programs that are started have at most ARENAS, and this process makes no more than that.

    Programs heed the variable MALLOC_ARENA_MAX; if it is set, nothing is changed. Without effect where the C library has
    no arenas.
    """
    if VARIABLE in os.environ:
        yield
        return
    os.environ[VARIABLE] = str(ARENAS)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
