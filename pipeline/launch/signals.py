"""Makes Ctrl-C and SIGTERM end a run in the same way at any time: its processes are ended, and nothing is published."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGINT leaves the block as KeyboardInterrupt and SIGTERM as SystemExit.

    Both unwind the stack, so that the model server is ended and the counts are written. If Beam runs a step in this
    thread, it turns an exception of a handler into a RuntimeError; so the signal is remembered, and decides.
    """
    got: list[int] = []

    def stop(number: int, _: object) -> None:
        got.append(number)
        _leave(number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: the program around us handles signals
        yield
        return
    try:
        yield
    except BaseException:
        if got:
            _leave(got[0])
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt from None
    sys.exit(128 + number)
