"""Makes Ctrl-C and SIGTERM end a run in the same way at any time: its processes are ended, and nothing is published."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

STOPS = (signal.SIGINT, signal.SIGTERM)
UNSEEN, LOST = 1.0, 5.0
"""Seconds until a signal is sent again: if its handler has not run, and if the handler's exception is gone."""
_NO_EXCEPTION = (None, (None, None, None))  # of `sys._current_exceptions`, by the version of Python


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGINT leaves the block as KeyboardInterrupt and SIGTERM as SystemExit.

    Both unwind the stack, so that the model server is ended and the counts are written. If Beam runs a step in this
    thread, it turns an exception of a handler into a RuntimeError; so the signal is remembered, and decides.
    """
    got: list[int] = []
    inside: list[bool] = []  # not empty: the handler may raise

    def stop(number: int, _: object) -> None:
        got.append(number)
        if inside:
            _leave(number)

    try:
        before = {number: signal.signal(number, stop) for number in STOPS}
    except ValueError:  # not the main thread: the program around us handles signals
        yield
        return
    repeater = _Repeater(got)
    try:
        try:
            inside.append(True)
            if got:
                _leave(got[0])
            yield
        finally:
            inside.clear()
    except BaseException:
        if not got:
            raise
    finally:
        inside.clear()
        repeater.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    if got:
        _leave(got[0])


class _Repeater:
    """Sends a signal to this thread, the main one, again while nothing comes of it.

    Python runs a handler between two steps of the main thread. A signal that comes just before that thread waits for a
    lock, or that another thread receives, would be noticed when the wait is over, which may be never. And an exception
    that a handler raises in a finalizer is lost.
    """

    def __init__(self, got: list[int]):
        self._got, self._main, self._left = got, threading.get_ident(), threading.Event()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        _in_use.append(self._write)
        self._thread = threading.Thread(target=self._repeat, name="signals", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Give back what the program around us had."""
        self._left.set()
        _in_use.remove(self._write)
        signal.set_wakeup_fd(self._before)
        with contextlib.suppress(BlockingIOError):  # so many signals that the thread has read one
            os.write(self._write, b"\0")
        self._thread.join()
        os.close(self._read)
        os.close(self._write)

    def _repeat(self) -> None:
        while (number := os.read(self._read, 1)[0]) not in (*STOPS, 0):  # Python writes the number of each signal
            if self._before != -1:
                os.write(self._before, bytes([number]))
        while not self._left.wait(UNSEEN) and not self._got:
            signal.pthread_kill(self._main, number)
        while not self._left.wait(LOST):
            if sys._current_exceptions().get(self._main) in _NO_EXCEPTION:  # it does not clean up
                signal.pthread_kill(self._main, number)


_in_use: list[int] = []


def _after_fork() -> None:
    """A forked child has the same pipe: its signals are not its parent's."""
    if _in_use:
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_after_fork)


def _leave(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt from None
    sys.exit(128 + number)
