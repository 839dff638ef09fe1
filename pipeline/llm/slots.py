"""How many questions are in flight: fewer while the server is too slow for them, more again while it answers."""

from __future__ import annotations

import asyncio
import time
from typing import Self


class Slots:
    """A semaphore whose size follows the server: half after an answer that did not come in time, one more a round.

    A server shares its time between all questions. If none is answered in time, each is broken off and asked again, and
    that goes on for ever, unless fewer are asked at once. The rule is that of TCP (additive increase, multiplicative
    decrease), so several processes that ask one server come to shares that it can answer.
    """

    def __init__(self, most: int):
        self.most, self.limit = most, float(most)
        self._used = 0
        self._lowered = 0.0  # when
        self._freed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        async with self._freed:
            await self._freed.wait_for(lambda: self._used < int(self.limit))
            self._used += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self._freed:
            self._used -= 1
            self._freed.notify(max(int(self.limit) - self._used, 0))

    def answered(self) -> None:
        """The server has answered in time."""
        self.limit = min(self.limit + 1 / self.limit, self.most)

    def overloaded(self, since: float) -> None:
        """The server did not answer a question that was sent at `since` (of `time.monotonic`).

        Of questions that were in flight together only the first counts.
        """
        if since > self._lowered:
            self.limit, self._lowered = max(self.limit / 2, 1.0), time.monotonic()
