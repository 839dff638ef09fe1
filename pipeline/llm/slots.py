"""How many questions are in flight: fewer while the server is too slow for them, more again while it answers."""

from __future__ import annotations

import asyncio
import collections
import threading
import time
import weakref
from typing import Self

PAUSE = 1.0
"""Seconds after which the size may be halved again: a server that is busy says so in milliseconds, many times."""
GROWTH = 0.1
"""The share by which the size grows in a round of answers; by one slot at least."""


class Slots:
    """A semaphore whose size follows the server: half after an answer that did not come in time, a tenth more a round.

    A server shares its time between all questions. If none is answered in time, each is broken off and asked again, and
    that goes on for ever, unless fewer are asked at once. The rule is nearly that of TCP, so several processes that ask
    one server come to shares that it can answer. Event loops of several threads may share it.
    """

    def __init__(self, most: int):
        self.most, self.limit = most, float(most)
        self._used = 0
        self._lowered = -PAUSE  # when
        self.last_answer = 0.0  # when, of `time.monotonic`
        self._turns: collections.deque[asyncio.Future[None]] = collections.deque()
        self._lock = threading.Lock()

    async def __aenter__(self) -> Self:
        turn = asyncio.get_running_loop().create_future()
        with self._lock:
            self._turns.append(turn)
        self._pass_on()
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._free()

    def _free(self) -> None:
        with self._lock:
            self._used -= 1
        self._pass_on()

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Of a waiter that was cancelled: out of the line, or give back the slot that it has got meanwhile."""
        with self._lock:
            if waiting := turn in self._turns:
                self._turns.remove(turn)
        if not waiting:
            self._free()

    def _pass_on(self) -> None:
        """Give free slots to those who have waited longest, each in its own event loop.

        Whoever is out of the line has a slot, and gives it back if it was cancelled, whether or not its loop still came
        to `_take`. Nothing here waits, so nothing can be cancelled half-way, as a waiter of `asyncio.Condition` can be
        before Python 3.13: it takes the notice with it, and its slot is lost.
        """
        with self._lock:
            while self._turns and self._used < int(self.limit):
                turn = self._turns.popleft()
                self._used += 1
                turn.get_loop().call_soon_threadsafe(_take, turn)

    def answered(self) -> None:
        """The server has answered in time."""
        with self._lock:
            self.limit = min(self.limit + max(1.0, GROWTH * self.limit) / self.limit, self.most)
            self.last_answer = time.monotonic()

    def overloaded(self, since: float) -> None:
        """The server did not answer a question that was sent at `since` (of `time.monotonic`).

        Of questions that were in flight together, or soon after, only the first counts.
        """
        with self._lock:
            if since > self._lowered + PAUSE:
                self.limit, self._lowered = max(self.limit / 2, 1.0), time.monotonic()


def _take(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


_shared: weakref.WeakValueDictionary[tuple[str, int], Slots] = weakref.WeakValueDictionary()
_sharing = threading.Lock()


def of(server: str, most: int) -> Slots:
    """The slots of this process for a server: the same for all who ask it with the same `most`, as long as one does."""
    with _sharing:
        return _shared.setdefault((server, most), Slots(most))
