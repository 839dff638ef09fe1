"""Makes Ctrl-C and SIGTERM end a run in the same way at any time: its processes are ended, and nothing is published."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

STOPS = (signal.SIGINT, signal.SIGTERM)
UNSEEN, UNHEEDED = 1.0, 60.0
"""Seconds until a signal is sent again: if its handler has not run, and if the run has not ended after it has."""


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
        before = {number: signal.signal(number, stop) for number in STOPS}
    except ValueError:  # not the main thread: the program around us handles signals
        yield
        return
    try:
        with _repeated(got):
            yield
    except BaseException:
        if got:
            _leave(got[0])
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _repeated(got: list[int]) -> Iterator[None]:
    """Send a signal to this thread again while the block goes on in spite of it.

    Python runs a handler between two steps of the main thread. A signal that comes just before that thread waits for a
    lock, or that another thread receives, would be noticed when the wait is over, which may be never. And an exception
    of a handler is lost if it is raised in a finalizer.
    """
    signals, left, main = os.pipe(), threading.Event(), threading.get_ident()
    os.set_blocking(signals[1], False)

    def repeat() -> None:
        while (number := os.read(signals[0], 1)[0]) not in (*STOPS, 0):  # Python writes the number of each signal
            pass
        while not left.wait(UNHEEDED if got else UNSEEN):
            signal.pthread_kill(main, number)

    before = signal.set_wakeup_fd(signals[1], warn_on_full_buffer=False)
    thread = threading.Thread(target=repeat, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.write(signals[1], b"\0")
        thread.join()
        for end in signals:
            os.close(end)


def _leave(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt from None
    sys.exit(128 + number)
