"""Limits what glibc's malloc keeps of freed memory."""

from __future__ import annotations

import contextlib
import ctypes
import os

ARENAS = 2
"""By default there are eight for each core, and each keeps what was freed in it. Workers have dozens of threads: with
two arenas the rehearsal of 140,000 documents takes a tenth less memory (docs/benchmarks.md)."""
_M_ARENA_MAX = -8  # malloc.h


def limit() -> None:
    """Let this process, and those that it starts, have at most ARENAS; without effect where the C library has none.

    Child processes heed the variable MALLOC_ARENA_MAX, which stays as it is if it is set.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    os.environ["MALLOC_ARENA_MAX"] = str(ARENAS)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
