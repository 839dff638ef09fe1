"""A sliding window over futures: many requests are in flight while a stage processes its documents."""

from __future__ import annotations

import concurrent.futures
import queue
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


class Window(Generic[Item, Value]):
    """At most `size` futures in flight; results are returned as the futures finish, in any order.

    A result is `(item, value)`, or `(item, exception)` if the future failed: nothing is raised here.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._items: dict[concurrent.futures.Future[Value], Item] = {}
        self._done: queue.SimpleQueue[concurrent.futures.Future[Value]] = queue.SimpleQueue()

    def add(self, item: Item, future: concurrent.futures.Future[Value]) -> list[tuple[Item, Value | BaseException]]:
        """Add a future, wait while the window is full, and return the results so far."""
        self._items[future] = item
        future.add_done_callback(self._done.put)
        finished = []
        while len(self._items) >= self.size or not self._done.empty():
            finished.append(self._next())
        return finished

    def drain(self) -> Iterator[tuple[Item, Value | BaseException]]:
        """Wait for all futures, and yield each result as it finishes."""
        while self._items:
            yield self._next()

    def _next(self) -> tuple[Item, Value | BaseException]:
        future = self._done.get()
        return self._items.pop(future), future.exception() or future.result()
