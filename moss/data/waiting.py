"""Waits for files of other processes, and says so."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

EVERY = 60.0
"""Seconds between two lines about what is missing."""

T = TypeVar("T")


def until(found: Callable[[], T | None], what: str, seconds: float = 1.0) -> T:
    """What `found` gives as soon as it gives something; asks it every `seconds` seconds, without a time limit.

    Says every minute on stderr that `what` is missing: a process that should make it may have ended.
    """
    began, said = time.monotonic(), 0
    while (value := found()) is None:
        if (waited := time.monotonic() - began) >= (said + 1) * EVERY:
            said += 1
            print(
                f"waiting for {what} for {waited / 60:.0f} min: another process or --share has to make it; if none is "
                "running, start it again",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(seconds)
    return value
